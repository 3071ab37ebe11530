// SPDX-License-Identifier: Apache-2.0
// The server's data as a replica gets it:
//
//   REPLCONF ...   what kind of replica this is
//   PSYNC ? -1     everything, from the start
//   "\n" ...       while the server gets ready: signs of life
//   +FULLRESYNC <replid> <offset>
//   "\n" ...       while it saves
//   $<length>      and so many bytes; or
//   $EOF:<mark>    bytes until the mark's 40 bytes come again
//
// The connection is closed as soon as the payload is whole, so that nobody counts on this replica.
// It says `rdb-only` (Redis 6.2): the server then keeps no changes for it, so no output buffer
// grows however slow the store is, and it never counts for min-replicas-to-write. It says a name
// for its address that does not resolve: a Sentinel registers no such replica. To Valkey it says
// the server's own version, or it would get the file in an older format.
//
// No buffer stands between server and store: with a slow store less is read, and the server waits.
// What is at risk then is only that a server without a disk in between (`$EOF:`) ends a transfer
// of which nothing was read for repl-timeout; how long that was is in the error.
//
// A server writes 16 KiB at a time. To be woken for each would cost as much again as the reading:
// the kernel is told to gather more (SO_RCVLOWAT), and a timer asks for what stays below that.
#include "redis_snapshot.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"
#include "wakeup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MARK_BYTES   40
#define LINE_CAP     512
#define WINDOW_BYTES ((size_t)64 << 10)
#define GATHER_BYTES (96 << 10)
#define GATHER_US    10000
#define NOT_A_HOST   "lifeboat-backup.invalid"

struct replication {
    struct source source;
    struct redis_conn *conn; /* NULL once the payload is whole */
    struct rdb *rdb;         /* lent */
    uint64_t given_bytes;
    int64_t gave_mono_us, slowest_us; /* how long nobody asked for more */
    bool by_mark;
    uint64_t left_bytes; /* by length */
    /* By mark: what was read and not given. The last bytes may be the mark's beginning. */
    char mark[MARK_BYTES + 1];
    uint8_t *window;
    size_t window_len;
    struct wakeup wakeup;
};

/* --- the handshake --- */

/* A line without its end; empty ones are signs of life. Byte by byte, because what follows the
 * last line is no line. */
static int read_line(struct redis_conn *conn, char *line, struct err *err)
{
    size_t used = 0;

    for (;;) {
        uint8_t byte;
        size_t len;
        enum step step = redis_conn_read(conn, &byte, 1, &len, err);

        if (step == STEP_AGAIN && redis_conn_wait(conn, err) < 0)
            return -1;
        if (step == STEP_END)
            return err_set(err, ERR_UNREACHABLE, "%s: the server closed the connection",
                           redis_conn_place(conn));
        if (step == STEP_ERROR)
            return -1;
        if (step != STEP_OK || byte == '\r' || (byte == '\n' && used == 0))
            continue;
        if (byte == '\n')
            break;
        if (used + 1 == LINE_CAP || byte < ' ')
            return err_set(err, ERR_CORRUPT, "%s does not answer PSYNC as Redis does",
                           redis_conn_place(conn));
        line[used++] = (char)byte;
    }
    line[used] = '\0';
    return line[0] == '-' ? redis_said(line + 1, "PSYNC", err) : 0;
}

/* A line that the deadline of the job bounds, and signs of life keep from being a silence. */
static int expect_line(struct redis_conn *conn, const char *prefix, char *line, struct err *err)
{
    if (clock_mono_us() >= redis_conn_deadline(conn))
        return err_set(err, ERR_TIMEOUT, "the time given is over");
    if (read_line(conn, line, err) < 0)
        return -1;
    if (text_starts_with(line, prefix))
        return 0;
    text_fix_utf8(line);
    return err_set(err, ERR_CORRUPT, "%s answers \"%.80s\" to PSYNC, where %s was to come",
                   redis_conn_place(conn), line, prefix);
}

static int parse_payload_line(struct replication *from, const char *line, struct err *err)
{
    if (text_starts_with(line, "$EOF:") && strlen(line) == strlen("$EOF:") + MARK_BYTES) {
        from->by_mark = true;
        memcpy(from->mark, line + strlen("$EOF:"), MARK_BYTES);
        from->window = mem_calloc(1, WINDOW_BYTES);
        return 0;
    }
    if (text_parse_u64(line + 1, &from->left_bytes) == 0 && from->left_bytes > 0)
        return 0;
    return err_set(err, ERR_CORRUPT, "%s announces no payload that can be understood",
                   redis_conn_place(from->conn));
}

/* What only some servers know is offered, and does without when they do not; a missing right is
 * told as such. */
static int offer(struct redis_conn *conn, const char *key, const char *value, struct err *err)
{
    const char *argv[] = {"REPLCONF", key, value};
    redisReply *reply = NULL;
    int rc;

    if (redis_conn_ask(conn, 3, argv, NULL, &reply, err) < 0)
        return -1;
    rc = redis_reply_check(reply, "REPLCONF", err);
    freeReplyObject(reply);
    if (rc < 0 && err->kind != ERR_DENIED) {
        log_debug("the server does not know this of replicas", LOG_TEXT("key", key),
                  LOG_TEXT("err", err->text));
        err_clear(err);
        rc = 0;
    }
    return rc;
}

static int shake_hands(struct replication *from, const char *valkey_version, struct err *err)
{
    struct redis_conn *conn = from->conn;
    char line[LINE_CAP];

    if (redis_conn_call(conn, NULL, err, "REPLCONF", "capa", "eof", "capa", "psync2", NULL) < 0 ||
        offer(conn, "rdb-only", "1", err) < 0 || offer(conn, "ip-address", NOT_A_HOST, err) < 0)
        return -1;
    if (valkey_version[0] != '\0' && offer(conn, "version", valkey_version, err) < 0)
        return -1;
    if (redis_conn_send(conn, err, "PSYNC", "?", "-1", NULL) < 0 ||
        expect_line(conn, "+FULLRESYNC ", line, err) < 0 || expect_line(conn, "$", line, err) < 0)
        return -1;
    return parse_payload_line(from, line, err);
}

/* Where that cannot be told, each read is only smaller. */
static void gather(const struct replication *from)
{
    const int bytes = GATHER_BYTES;

    setsockopt(redis_conn_fd(from->conn), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

/* --- the payload --- */

static enum step end_early(struct replication *from, struct err *err)
{
    char slowest[24];

    text_show_duration(from->slowest_us / 1000, slowest, sizeof slowest);
    err_set(err, ERR_UNREACHABLE,
            "%s: the server ended the transfer after %llu bytes. Its log says why; it does so when "
            "nothing is read for repl-timeout (the longest was %s here, by a store that took "
            "nothing), and before 6.2 when writes exceed client-output-buffer-limit",
            redis_conn_place(from->conn), (unsigned long long)from->given_bytes, slowest);
    return STEP_ERROR;
}

static enum step whole(struct replication *from, struct err *err)
{
    redis_conn_close(from->conn);
    from->conn = NULL;
    return redis_feed_end(from->rdb, err) < 0 ? STEP_ERROR : STEP_END;
}

static enum step give(struct replication *from, const uint8_t *data, size_t len,
                      struct span_out *out, struct err *err)
{
    if (redis_feed(from->rdb, data, len, err) < 0)
        return STEP_ERROR;
    out->len += len;
    from->given_bytes += len;
    return STEP_OK;
}

static enum step read_by_length(struct replication *from, struct span_out *out, struct err *err)
{
    size_t room = out->cap - out->len;
    size_t len = 0;
    enum step step =
        redis_conn_read(from->conn, out->data + out->len,
                        room < from->left_bytes ? room : (size_t)from->left_bytes, &len, err);

    if (step == STEP_END)
        return end_early(from, err);
    if (step != STEP_OK)
        return step;
    from->left_bytes -= len;
    step = give(from, out->data + out->len, len, out, err);
    return step == STEP_OK && from->left_bytes == 0 ? whole(from, err) : step;
}

/* Gives the first bytes of the window. */
static enum step give_window(struct replication *from, size_t len, struct span_out *out,
                             struct err *err)
{
    size_t room = out->cap - out->len;

    if (len > room)
        len = room;
    memcpy(out->data + out->len, from->window, len);
    from->window_len -= len;
    memmove(from->window, from->window + len, from->window_len);
    return give(from, out->data + out->len, len, out, err);
}

/* What stands before the mark; after it comes what is no part of the file. */
static enum step read_by_mark(struct replication *from, struct span_out *out, struct err *err)
{
    const uint8_t *mark = memmem(from->window, from->window_len, from->mark, MARK_BYTES);
    size_t len = 0;
    enum step step;

    if (mark != NULL && mark == from->window)
        return whole(from, err);
    if (mark != NULL)
        return give_window(from, (size_t)(mark - from->window), out, err);
    if (from->window_len >= MARK_BYTES)
        return give_window(from, from->window_len - (MARK_BYTES - 1), out, err);
    step = redis_conn_read(from->conn, from->window + from->window_len,
                           WINDOW_BYTES - from->window_len, &len, err);
    if (step == STEP_END)
        return end_early(from, err);
    from->window_len += len;
    return step;
}

static enum step replication_read(struct source *source, struct span_out *out, struct err *err)
{
    struct replication *from = (struct replication *)source;
    size_t before = out->len;
    enum step step;
    int64_t paused_us = from->gave_mono_us == 0 ? 0 : clock_mono_us() - from->gave_mono_us;

    if (paused_us > from->slowest_us)
        from->slowest_us = paused_us;
    do
        step = from->by_mark ? read_by_mark(from, out, err) : read_by_length(from, out, err);
    while (step == STEP_OK && out->len == before);
    from->gave_mono_us = step == STEP_OK ? clock_mono_us() : 0;
    return step;
}

static void replication_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct replication *from = (struct replication *)source;

    wakeup_arm(&from->wakeup, loop, waker, redis_conn_fd(from->conn), redis_conn_events(from->conn),
               GATHER_US);
}

static void replication_close(struct source *source)
{
    struct replication *from = (struct replication *)source;

    wakeup_disarm(&from->wakeup);
    redis_conn_close(from->conn);
    free(from->window);
    free(from);
}

static const struct source_ops replication_ops = {
    .name = "the server's replication",
    .read = replication_read,
    .arm = replication_arm,
    .close = replication_close,
};

int redis_replication_open(const struct redis_options *options, const char *valkey_version,
                           int64_t deadline_mono_us, struct rdb *rdb, struct source **source,
                           struct err *err)
{
    struct replication *from = mem_calloc(1, sizeof *from);

    from->source.ops = &replication_ops;
    from->rdb = rdb;
    if (redis_conn_open(options, deadline_mono_us, &from->conn, err) < 0 ||
        shake_hands(from, valkey_version, err) < 0) {
        replication_close(&from->source);
        return -1;
    }
    gather(from);
    *source = &from->source;
    return 0;
}
