// SPDX-License-Identifier: Apache-2.0
// A system that is quick: for tests of what surrounds a job thousands of times (daemon, reports,
// schedules), with everything but the database real. Linked in place of systems.c.
//
// component.postgres.tools names a plan, a file of words: "bytes=N" (the size of the object, 1000),
// "fail" (the snapshot fails), "fail_late" (after its bytes), "elsewhere" (run_on says no),
// "drip" (a byte each 20 ms), "hang" (until it is told to stop), "stuck" (and then too), "die"
// (ends at once, without a word). No file: all is well.
#include "system.h"

#include "cancel.h"
#include "clock.h"
#include "file.h"
#include "manifest.h"
#include "mem.h"
#include "memory.h"
#include "text.h"

#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LINEAGE "4711"
#define DRIP_US 20000

struct stub_snapshot {
    char *plan;
    char *data;
    size_t bytes;
    bool given;
};

static char *read_plan(const struct component_options *component)
{
    struct err err = ERR_INIT;
    char *plan = NULL;

    if (component->postgres.tools == NULL ||
        file_read(component->postgres.tools, 4096, &plan, NULL, &err) < 0)
        return mem_strdup("");
    return plan;
}

static bool says(const struct stub_snapshot *snapshot, const char *word)
{
    return strstr(snapshot->plan, word) != NULL;
}

static void stub_snapshot_close(void *opened)
{
    struct stub_snapshot *snapshot = opened;

    if (snapshot == NULL)
        return;
    free(snapshot->plan);
    free(snapshot->data);
    free(snapshot);
}

static int act(const struct stub_snapshot *snapshot, struct err *err)
{
    if (says(snapshot, "die"))
        raise(SIGKILL);
    while (says(snapshot, "stuck") || (says(snapshot, "hang") && !cancel_requested()))
        poll(&(struct pollfd){.fd = cancel_fd(), .events = POLLIN}, 1, 1000);
    if (cancel_check(err) < 0)
        return -1;
    if (says(snapshot, "elsewhere"))
        return err_set(err, ERR_ELSEWHERE, "the server is a replica, and run_on says primary");
    if (says(snapshot, "fail") && !says(snapshot, "fail_late"))
        return err_set(err, ERR_SOURCE, "the stub was told to fail");
    return 0;
}

static int stub_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop,
                              void **opened, struct err *err)
{
    struct stub_snapshot *snapshot = mem_calloc(1, sizeof *snapshot);
    const char *size;

    (void)loop;
    snapshot->plan = read_plan(request->component);
    size = strstr(snapshot->plan, "bytes=");
    snapshot->bytes = size == NULL ? 1000 : strtoul(size + strlen("bytes="), NULL, 10);
    snapshot->data = mem_calloc(snapshot->bytes, 1);
    for (size_t i = 0; i < snapshot->bytes; i++)
        snapshot->data[i] = (char)('a' + i * i % 23);
    if (act(snapshot, err) < 0) {
        stub_snapshot_close(snapshot);
        return -1;
    }
    *opened = snapshot;
    return 0;
}

static int stub_snapshot_describe(void *opened, struct manifest *manifest, struct err *err)
{
    (void)opened;
    (void)err;
    manifest->system = mem_strdup("postgres");
    manifest->system_version = mem_strdup("16.0");
    manifest->lineage = mem_strdup(LINEAGE);
    manifest->recovery_point_ms = clock_wall_ms();
    return 0;
}

/* A source whose bytes come one by one. */
struct drip {
    struct source source;
    const char *data;
    size_t len, pos;
    int64_t due_us;
    ev_timer timer;
    struct ev_loop *loop; /* not NULL while armed */
    struct waker waker;
};

static enum step drip_read(struct source *source, struct span_out *out, struct err *err)
{
    struct drip *drip = (struct drip *)source;

    (void)err;
    if (drip->pos == drip->len)
        return STEP_END;
    if (clock_mono_us() < drip->due_us)
        return STEP_AGAIN;
    out->data[out->len++] = (uint8_t)drip->data[drip->pos++];
    drip->due_us = clock_mono_us() + DRIP_US;
    return STEP_OK;
}

static void drip_disarm(struct drip *drip)
{
    if (drip->loop != NULL)
        ev_timer_stop(drip->loop, &drip->timer);
    drip->loop = NULL;
}

static void on_drip(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct drip *drip = timer->data;

    (void)loop;
    (void)events;
    drip_disarm(drip);
    drip->waker.wake(drip->waker.arg);
}

static void drip_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct drip *drip = (struct drip *)source;

    drip_disarm(drip);
    drip->loop = loop;
    drip->waker = waker;
    ev_timer_init(&drip->timer, on_drip, DRIP_US / 1e6, 0.);
    drip->timer.data = drip;
    ev_timer_start(loop, &drip->timer);
}

static void drip_close(struct source *source)
{
    drip_disarm((struct drip *)source);
    free(source);
}

static const struct source_ops drip_ops = {
    .name = "the stub", .read = drip_read, .arm = drip_arm, .close = drip_close};

static struct source *drip_new(const char *data, size_t len)
{
    struct drip *drip = mem_calloc(1, sizeof *drip);

    drip->source.ops = &drip_ops;
    drip->data = data;
    drip->len = len;
    return &drip->source;
}

static enum step stub_snapshot_next(void *opened, struct snapshot_object *object,
                                    struct source **source, struct err *err)
{
    struct stub_snapshot *snapshot = opened;

    if (snapshot->given && says(snapshot, "fail_late")) {
        err_set(err, ERR_SOURCE, "the stub was told to fail late");
        return STEP_ERROR;
    }
    if (snapshot->given)
        return STEP_END;
    snapshot->given = true;
    object->name = "stub.txt";
    object->format = "text";
    *source = says(snapshot, "drip") ? drip_new(snapshot->data, snapshot->bytes)
                                     : memory_source_new(snapshot->data, snapshot->bytes);
    return STEP_OK;
}

static int stub_lineage(const struct component_options *component, char **lineage, struct err *err)
{
    (void)component;
    (void)err;
    *lineage = mem_strdup(LINEAGE);
    return 0;
}

static int stub_prove(const struct component_options *component, const struct manifest *manifest,
                      const char *object, json_t *findings, struct sink **sink, struct err *err)
{
    (void)component;
    (void)manifest;
    (void)object;
    (void)findings;
    (void)err;
    *sink = null_sink_new();
    return 0;
}

static const struct system_ops stub_system = {
    .name = "postgres",
    .snapshot_open = stub_snapshot_open,
    .snapshot_describe = stub_snapshot_describe,
    .snapshot_next = stub_snapshot_next,
    .snapshot_close = stub_snapshot_close,
    .lineage = stub_lineage,
    .prove = stub_prove,
};

const struct system_ops *system_get(int system)
{
    (void)system;
    return &stub_system;
}
