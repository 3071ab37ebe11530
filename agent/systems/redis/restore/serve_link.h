// SPDX-License-Identifier: Apache-2.0
// The socket of the serving side: where it listens, from whom it takes a connection. For serve.c.
#pragma once

#include "net_link.h"
#include "redis_options.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct serve_listener {
    int fd;
    struct sockaddr_storage peer; /* the server's own address; only from there one may come */
    char host[64], port[6];
    int64_t speak_until_us; /* until when who came must have spoken */
};

/* Beside the connection fd to the server: the same address of ours, a port of the system's choice.
 * For a unix socket: 127.0.0.1. */
int serve_listener_open(struct serve_listener *listener, int fd, struct err *err);
void serve_listener_close(struct serve_listener *listener);
/* OK: *fd, from the server's address. END: one from elsewhere was closed. AGAIN, or ERROR. */
enum step serve_listener_accept(struct serve_listener *listener, int *fd, struct err *err);

/* Puts the server's side of TLS over an accepted link; net_link_shake goes on with it. */
int serve_link_secure(struct net_link *link, const struct redis_options *options, struct err *err);
