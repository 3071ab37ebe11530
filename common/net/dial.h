// SPDX-License-Identifier: Apache-2.0
// Connecting to a database, and waiting for it: every wait is one poll() over the socket and the
// wish to stop, bounded by a deadline for all and a timeout for each.
#pragma once

#include "net_link.h"

#include <stdint.h>

struct dial {
    struct net_link link;
    char *place; /* "127.0.0.1:6379", "[::1]:6379" or a path, as errors begin with */
    int64_t deadline_mono_us;
    int64_t timeout_ms;
};

/* Connected to nothing. */
void dial_init(struct dial *dial, int64_t deadline_mono_us, int64_t timeout_ms);
/* Connects to one address of the host's after the other until one takes it, then begins TLS when
 * files is not NULL. Once for a dial. ERR_UNREACHABLE; ERR_DENIED: certificates. */
int dial_host(struct dial *dial, const char *host, const char *port, const struct tls_files *files,
              struct err *err);
/* path is shorter than a socket's address may be. */
int dial_unix(struct dial *dial, const char *path, struct err *err);
void dial_fini(struct dial *dial);

/* When the timeout that begins now will be over. */
int64_t dial_patience(const struct dial *dial);
/* Until the link is ready for its events; a failure at until_us or at the deadline. */
int dial_wait(struct dial *dial, int64_t until_us, struct err *err);
/* Sends all. OK; END: closed by the peer; or ERROR. */
enum step dial_send(struct dial *dial, const void *data, size_t len, struct err *err);
/* Waits for bytes. OK: *len of them, at least one. END: closed by the peer; or ERROR. */
enum step dial_receive(struct dial *dial, void *data, size_t cap, size_t *len, int64_t until_us,
                       struct err *err);
/* Waits so long, at most until the deadline; -1 when that passed or a stop is wished for. */
int dial_pause(struct dial *dial, int ms, struct err *err);
