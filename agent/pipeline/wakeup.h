// SPDX-License-Identifier: Apache-2.0
// How an end of the path keeps its promise of arm(): one wake, when a descriptor is ready or a time
// is over, whichever comes first. Embedded in the end; never wakes after wakeup_disarm.
#pragma once

#include "stream.h"

#include <ev.h>

/* Zeroed: not armed. */
struct wakeup {
    struct ev_loop *loop; /* not NULL while armed */
    struct waker waker;
    ev_io io;
    ev_timer timer;
};

/* In place of what was armed before. fd: -1 for none; events: of poll(), POLLIN or POLLOUT.
 * after_us: less than 0 for no time. */
void wakeup_arm(struct wakeup *wakeup, struct ev_loop *loop, struct waker waker, int fd,
                short events, int64_t after_us);
void wakeup_disarm(struct wakeup *wakeup);
