// SPDX-License-Identifier: Apache-2.0
// Both watchers are stopped before the wake: it may arm anew.
#include "wakeup.h"

#include <poll.h>

void wakeup_disarm(struct wakeup *wakeup)
{
    if (wakeup->loop == NULL)
        return;
    ev_io_stop(wakeup->loop, &wakeup->io);
    ev_timer_stop(wakeup->loop, &wakeup->timer);
    wakeup->loop = NULL;
}

static void wake(struct wakeup *wakeup)
{
    wakeup_disarm(wakeup);
    wakeup->waker.wake(wakeup->waker.arg);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    wake(io->data);
}

static void on_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    wake(timer->data);
}

void wakeup_arm(struct wakeup *wakeup, struct ev_loop *loop, struct waker waker, int fd,
                short events, int64_t after_us)
{
    wakeup_disarm(wakeup);
    wakeup->loop = loop;
    wakeup->waker = waker;
    ev_io_init(&wakeup->io, on_io, fd, events == POLLOUT ? EV_WRITE : EV_READ);
    wakeup->io.data = wakeup;
    if (fd >= 0)
        ev_io_start(loop, &wakeup->io);
    ev_timer_init(&wakeup->timer, on_time, after_us > 0 ? (double)after_us / 1e6 : 0., 0.);
    wakeup->timer.data = wakeup;
    if (after_us >= 0)
        ev_timer_start(loop, &wakeup->timer);
}
