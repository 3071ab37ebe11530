// SPDX-License-Identifier: Apache-2.0
// A name lookup that does not stop the loop: getaddrinfo() in a thread of its own, which lives as
// long as the lookup does.
#pragma once

struct addrinfo;
struct ev_loop;
struct resolve;

/* addresses: lent; NULL with a reason when there are none. The lookup is over and freed then. */
typedef void resolve_fn(void *arg, const struct addrinfo *addresses, const char *reason);

/* NULL when no thread can be had. */
struct resolve *resolve_start(struct ev_loop *loop, const char *host, const char *port,
                              resolve_fn *done, void *arg);
/* done is not called any more. NULL is allowed. */
void resolve_cancel(struct resolve *resolve);
