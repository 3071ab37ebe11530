// SPDX-License-Identifier: Apache-2.0
// Accepts agents: a TLS connection for each, and a session on top. Certificates that change on
// disk are used from the next connection on.
#pragma once

#include "err.h"
#include "hub.h"
#include "tls.h"

#define LISTENER_MAX_CONNECTIONS ((size_t)10000)

struct ev_loop;
struct listener;

/* address: "HOST:PORT". hub, loop and the paths in files are lent. ERR_CONFIG: a file of files is
 * wrong, or the address; ERR_IO: it cannot be had. */
int listener_open(struct ev_loop *loop, const char *address, const struct tls_files *files,
                  struct hub *hub, struct listener **listener, struct err *err);
/* Closes all connections. NULL is allowed. */
void listener_close(struct listener *listener);
