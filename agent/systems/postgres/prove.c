// SPDX-License-Identifier: Apache-2.0
// Proof of an archive without a server: `pg_restore -f -` reads every byte of it and must end well
// (its --list is content with a tenth of an archive), the COPY blocks of what it writes are
// counted, and every table that had rows to dump must have one. Both pipes are served in one call,
// so that neither side can wait for the other for ever.
#include "internal.h"

#include "child.h"
#include "clock.h"
#include "copy_count.h"
#include "facts.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "sql_split.h"
#include "tools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES      ((size_t)64 << 10)
#define READS_PER_WRITE 16
#define END_BYTES       512
#define TOOL_TIME_US    INT64_C(10000000)

struct archive_sink {
    struct sink sink;
    const struct manifest *manifest;
    struct child *child;
    struct copy_count *count;
    json_t *findings; /* lent */
    json_t *tables;
    uint8_t *buffer; /* READ_BYTES */
    bool broken;     /* it takes no more; its exit status says why */
    bool at_end;     /* it has written everything */
};

static void found_table(void *arg, const char *table, uint64_t rows)
{
    json_object_set_new(arg, table, json_integer((json_int_t)rows));
}

/* Counts what is there to be read; OK: some, AGAIN: none, END: nothing more to come. */
static enum step read_script(struct archive_sink *to, struct err *err)
{
    enum step step = STEP_AGAIN;

    for (int i = 0; i < READS_PER_WRITE && !to->at_end; i++) {
        ssize_t got = read(child_output(to->child), to->buffer, READ_BYTES);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return step;
        if (got < 0) {
            err_set_errno(err, errno, "read from pg_restore");
            return STEP_ERROR;
        }
        to->at_end = got == 0;
        if (copy_count_feed(to->count, to->buffer, (size_t)got, err) < 0)
            return STEP_ERROR;
        step = STEP_OK;
    }
    return to->at_end ? STEP_END : step;
}

/* It needs no server: what it fails on is the archive. */
static enum step ended(struct archive_sink *to, struct err *err)
{
    enum step step = child_ended(to->child, err);

    if (step == STEP_ERROR)
        err->kind = ERR_CORRUPT;
    return step;
}

static enum step archive_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct archive_sink *to = (struct archive_sink *)sink;
    ssize_t put = -1;

    if (read_script(to, err) == STEP_ERROR)
        return STEP_ERROR;
    if (!to->broken) {
        put = write(child_input(to->child), in->data + in->pos, in->len - in->pos);
        if (put < 0 && errno != EAGAIN && errno != EPIPE && errno != EINTR) {
            err_set_errno(err, errno, "write to pg_restore");
            return STEP_ERROR;
        }
        to->broken = put < 0 && errno == EPIPE;
    }
    if (put > 0) {
        in->pos += (size_t)put;
        return STEP_OK;
    }
    if (to->broken && to->at_end) {
        enum step step = ended(to, err);

        if (step != STEP_END)
            return step;
        err_set(err, ERR_CORRUPT, "pg_restore ended before it had read the whole archive");
        return STEP_ERROR;
    }
    return STEP_AGAIN;
}

static int match_tables(const struct archive_sink *to, struct err *err)
{
    const json_t *expected = pg_fact(to->manifest, "tables", NULL);
    const char *table;
    const json_t *rows;

    json_object_foreach ((json_t *)(uintptr_t)expected, table, rows) {
        (void)rows;
        if (json_object_get(to->tables, table) == NULL)
            return err_set(err, ERR_CORRUPT, "the archive does not hold the rows of %s", table);
    }
    return 0;
}

static enum step archive_commit(struct sink *sink, struct err *err)
{
    struct archive_sink *to = (struct archive_sink *)sink;
    enum step step;

    child_close_input(to->child);
    do
        step = read_script(to, err);
    while (step == STEP_OK);
    if (step != STEP_END)
        return step;
    step = ended(to, err);
    if (step != STEP_END)
        return step;
    if (copy_count_end(to->count, err) < 0 || match_tables(to, err) < 0)
        return STEP_ERROR;
    json_object_set(to->findings, "tables", to->tables);
    return STEP_END;
}

static void archive_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct archive_sink *to = (struct archive_sink *)sink;
    unsigned events = to->at_end ? CHILD_ENDED : CHILD_READABLE;

    if (!to->broken && child_input(to->child) >= 0)
        events |= CHILD_WRITABLE;
    child_arm(to->child, loop, events, waker);
}

static void archive_close(struct sink *sink)
{
    struct archive_sink *to = (struct archive_sink *)sink;

    child_free(to->child);
    copy_count_free(to->count);
    json_decref(to->tables);
    free(to->buffer);
    free(to);
}

static const struct sink_ops archive_sink_ops = {
    .name = "pg_restore",
    .write = archive_write,
    .commit = archive_commit,
    .arm = archive_arm,
    .close = archive_close,
};

int pg_restore_tool(const struct component_options *component, const struct manifest *manifest,
                    int least, struct pg_tool *tool, struct err *err)
{
    const char *dumped_by = pg_fact_text(manifest, "tools", "pg_dump");
    long major = dumped_by == NULL ? 0 : strtol(dumped_by, NULL, 10);

    if (major < PG_OLDEST_VERSION / 10000 || major > 99)
        return err_set(
            err, ERR_CORRUPT,
            "the manifest of %s does not say which pg_dump made it (facts.tools.pg_dump)",
            manifest->id);
    return pg_tool_find(&component->postgres, "pg_restore", major > least ? (int)major : least,
                        major > least ? "the pg_dump that made the backup" : "the server",
                        clock_mono_us() + TOOL_TIME_US, tool, err);
}

static int prove_archive(const struct component_options *component, const struct manifest *manifest,
                         json_t *findings, struct sink **sink, struct err *err)
{
    struct pg_tool tool = {.path = NULL};
    struct child *child = NULL;
    struct archive_sink *to;
    int rc;

    if (pg_restore_tool(component, manifest, 0, &tool, err) < 0)
        return -1;
    {
        const char *argv[] = {tool.path, "-f", "-", NULL};
        const char *env[] = {"LC_ALL=C", NULL};
        const struct child_spec spec = {.argv = argv, .env = env, .feeds = true, .reads = true};

        rc = child_start(&spec, &child, err);
    }
    pg_tool_fini(&tool);
    if (rc < 0)
        return -1;
    to = mem_calloc(1, sizeof *to);
    to->sink.ops = &archive_sink_ops;
    to->manifest = manifest;
    to->child = child;
    to->findings = findings;
    to->tables = json_object();
    to->count = copy_count_new(found_table, to->tables);
    to->buffer = mem_calloc(1, READ_BYTES);
    *sink = &to->sink;
    return 0;
}

/* The script of roles: whole statements, and the line that pg_dumpall writes last. */
struct globals_sink {
    struct sink sink;
    struct sql_split *split;
    char end[END_BYTES + 1]; /* the last bytes */
    size_t end_len;
};

static void keep_end(struct globals_sink *to, const uint8_t *data, size_t len)
{
    size_t n = len < END_BYTES ? len : END_BYTES;
    size_t kept = to->end_len < END_BYTES - n ? to->end_len : END_BYTES - n;

    memmove(to->end, to->end + to->end_len - kept, kept);
    memcpy(to->end + kept, data + len - n, n);
    to->end_len = kept + n;
    to->end[to->end_len] = '\0';
}

static enum step globals_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct globals_sink *to = (struct globals_sink *)sink;
    bool complete;
    size_t used;

    keep_end(to, in->data + in->pos, in->len - in->pos);
    while (in->pos < in->len) {
        if (sql_split_feed(to->split, in->data + in->pos, in->len - in->pos, &used, &complete,
                           err) < 0)
            return STEP_ERROR;
        in->pos += used;
    }
    return STEP_OK;
}

static enum step globals_commit(struct sink *sink, struct err *err)
{
    struct globals_sink *to = (struct globals_sink *)sink;

    if (sql_split_between(to->split) &&
        strstr(to->end, "-- PostgreSQL database cluster dump complete\n") != NULL)
        return STEP_END;
    err_set(err, ERR_CORRUPT, "the script of roles is not whole");
    return STEP_ERROR;
}

static void globals_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void globals_close(struct sink *sink)
{
    struct globals_sink *to = (struct globals_sink *)sink;

    sql_split_free(to->split);
    free(to);
}

static const struct sink_ops globals_sink_ops = {
    .name = "proof of roles",
    .write = globals_write,
    .commit = globals_commit,
    .arm = globals_arm,
    .close = globals_close,
};

int pg_prove(const struct component_options *component, const struct manifest *manifest,
             const char *object, json_t *findings, struct sink **sink, struct err *err)
{
    struct globals_sink *to;

    if (strcmp(object, PG_DATABASE) == 0)
        return prove_archive(component, manifest, findings, sink, err);
    if (strcmp(object, PG_GLOBALS) != 0)
        return err_set(err, ERR_CORRUPT, "a backup of Postgres holds no object %s", object);
    to = mem_calloc(1, sizeof *to);
    to->sink.ops = &globals_sink_ops;
    to->split = sql_split_new(1024);
    *sink = &to->sink;
    return 0;
}
