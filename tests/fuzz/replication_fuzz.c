// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a server says to PSYNC: what is given out is its payload from the start on and
// nothing beyond, and the end comes when that is a whole RDB file, and only then.
//
// The functions of conn.h are defined here: the linker then needs nothing of conn.c and leaves it
// out. The first four bytes of an input choose what the server knows and how its bytes come; the
// others are what it says.
#include "clock.h"
#include "mem.h"
#include "redis_snapshot.h"
#include "text.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { HOW_BYTES = 4, MARK_BYTES = 40, ROOM_BYTES = 70000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The bits of the first byte. */
enum {
    SAYS_NO = 1,      /* to what only some servers know */
    HAS_NO_RIGHT = 2, /* to REPLCONF */
    IS_VALKEY = 4,
    IS_LATE = 8,        /* the deadline has passed */
    FAILS_TO_WAIT = 16, /* a silence ends it */
    LOSES_REPLY = 32,
};

struct redis_conn {
    uint8_t flags;
    uint32_t seed;  /* of how the bytes are cut; 0: not at all */
    unsigned fault; /* the read that fails; 0: none does */
    const uint8_t *said;
    size_t len, pos;
    bool silent, asked, failed, closed;
};

static struct redis_conn script;

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

/* --- conn.h, as far as it is asked for here --- */

int redis_conn_open(const struct redis_options *options, int64_t deadline_mono_us,
                    struct redis_conn **conn, struct err *err)
{
    (void)options;
    (void)deadline_mono_us;
    (void)err;
    *conn = &script;
    return 0;
}

void redis_conn_close(struct redis_conn *conn)
{
    if (conn == NULL)
        return;
    if (conn->closed)
        abort();
    conn->closed = true;
}

const char *redis_conn_place(const struct redis_conn *conn)
{
    (void)conn;
    return "script";
}

int64_t redis_conn_deadline(const struct redis_conn *conn)
{
    return conn->flags & IS_LATE ? 0 : INT64_MAX;
}

void redis_conn_set_deadline(struct redis_conn *conn, int64_t deadline_mono_us)
{
    (void)conn;
    (void)deadline_mono_us;
    abort();
}

static int parse(const char *answer, redisReply **reply)
{
    redisReader *reader = redisReaderCreate();
    void *parsed = NULL;

    if (reader == NULL || redisReaderFeed(reader, answer, strlen(answer)) != REDIS_OK ||
        redisReaderGetReply(reader, &parsed) != REDIS_OK || parsed == NULL)
        abort();
    redisReaderFree(reader);
    *reply = parsed;
    return 0;
}

int redis_conn_ask(struct redis_conn *conn, size_t argc, const char *const *argv,
                   const size_t *lens, redisReply **reply, struct err *err)
{
    if (conn->asked || argc != 3 || strcmp(argv[0], "REPLCONF") != 0 || lens != NULL)
        abort();
    if (conn->flags & LOSES_REPLY)
        return err_set(err, ERR_UNREACHABLE, "no answer");
    if (conn->flags & HAS_NO_RIGHT)
        return parse("-NOPERM no\r\n", reply);
    return parse(conn->flags & SAYS_NO ? "-ERR Unrecognized\r\n" : "+OK\r\n", reply);
}

int redis_said(const char *said, const char *command, struct err *err)
{
    return err_set(err, text_starts_with(said, "NOPERM") ? ERR_DENIED : ERR_SOURCE, "%s: %s",
                   command, said);
}

int redis_reply_check(const redisReply *reply, const char *command, struct err *err)
{
    return reply->type == REDIS_REPLY_ERROR ? redis_said(reply->str, command, err) : 0;
}

int redis_conn_call(struct redis_conn *conn, redisReply **reply, struct err *err, ...)
{
    (void)err;
    if (conn->asked || reply != NULL)
        abort();
    return 0;
}

int redis_conn_text(struct redis_conn *conn, char **text, struct err *err, ...)
{
    (void)conn;
    (void)text;
    (void)err;
    abort();
}

int redis_conn_send(struct redis_conn *conn, struct err *err, ...)
{
    (void)err;
    if (conn->asked)
        abort();
    conn->asked = true;
    return 0;
}

enum step redis_conn_read(struct redis_conn *conn, uint8_t *data, size_t cap, size_t *len,
                          struct err *err)
{
    size_t left = conn->len - conn->pos;
    size_t piece = left;

    if (!conn->asked || conn->closed || cap == 0)
        abort();
    if (conn->fault > 0 && --conn->fault == 0) {
        conn->failed = true;
        err_set(err, ERR_UNREACHABLE, "the network");
        return STEP_ERROR;
    }
    /* Never silent twice: who was told that there is something now gets it. */
    conn->silent = !conn->silent && conn->seed != 0 && next_random(&conn->seed) % 4 == 0;
    if (conn->silent)
        return STEP_AGAIN;
    if (left == 0)
        return STEP_END;
    if (conn->seed != 0)
        piece = 1 + next_random(&conn->seed) % (conn->seed & 1 ? 7 : 1000);
    piece = piece < left ? piece : left;
    piece = piece < cap ? piece : cap;
    memcpy(data, conn->said + conn->pos, piece);
    conn->pos += piece;
    *len = piece;
    return STEP_OK;
}

int redis_conn_fd(const struct redis_conn *conn)
{
    (void)conn;
    return -1;
}

short redis_conn_events(const struct redis_conn *conn)
{
    (void)conn;
    return POLLIN;
}

int redis_conn_wait(struct redis_conn *conn, struct err *err)
{
    if (!conn->silent)
        abort();
    return conn->flags & FAILS_TO_WAIT ? err_set(err, ERR_TIMEOUT, "no answer") : 0;
}

int redis_conn_pause(struct redis_conn *conn, int ms, struct err *err)
{
    (void)conn;
    (void)ms;
    (void)err;
    abort();
}

/* --- what must come out --- */

struct expected {
    const uint8_t *payload;
    size_t len; /* as far as the script has it */
    bool by_mark, complete, whole;
};

/* The line that ends before what was not read yet announces the payload. */
static void announced(char *line, size_t cap)
{
    size_t end = script.pos - 1, start = end, used = 0;

    if (script.pos == 0 || script.said[end] != '\n')
        abort();
    while (start > 0 && script.said[start - 1] != '\n')
        start--;
    for (size_t i = start; i < end && used + 1 < cap; i++)
        if (script.said[i] != '\r')
            line[used++] = (char)script.said[i];
    line[used] = '\0';
}

static bool is_whole(const uint8_t *payload, size_t len)
{
    struct rdb *rdb = rdb_new();
    struct err err = ERR_INIT;
    bool whole = rdb_feed(rdb, payload, len, &err) == 0 && rdb_finish(rdb, &err) == 0;

    rdb_free(rdb);
    return whole;
}

static struct expected expect(void)
{
    struct expected expected = {.payload = script.said + script.pos,
                                .len = script.len - script.pos};
    char line[1024];

    announced(line, sizeof line);
    if (text_starts_with(line, "$EOF:")) {
        const uint8_t *mark = NULL;

        if (strlen(line) != strlen("$EOF:") + MARK_BYTES)
            abort();
        mark = memmem(expected.payload, expected.len, line + strlen("$EOF:"), MARK_BYTES);
        expected.by_mark = true;
        expected.complete = mark != NULL;
        if (mark != NULL)
            expected.len = (size_t)(mark - expected.payload);
    } else {
        unsigned long long len = strtoull(line + 1, NULL, 10);

        if (line[0] != '$' || len == 0)
            abort();
        expected.complete = len <= expected.len;
        if (expected.complete)
            expected.len = (size_t)len;
    }
    expected.whole = expected.complete && is_whole(expected.payload, expected.len);
    return expected;
}

/* --- reading --- */

/* One read into a block of its own; the room begins behind bytes that are not the source's. */
static enum step read_some(struct source *source, uint32_t *seed, const struct expected *expected,
                           size_t *given, struct err *err)
{
    size_t before = *seed == 0 ? 0 : next_random(seed) % 3;
    size_t room = *seed == 0 ? ROOM_BYTES : 1 + next_random(seed) % 90;
    struct span_out out = {
        .data = mem_calloc(1, before + room), .cap = before + room, .len = before};
    enum step step = source->ops->read(source, &out, err);
    size_t len = out.len - before;

    if (out.len < before || out.len > out.cap || len > expected->len - *given)
        abort();
    if ((step == STEP_OK) != (len > 0) && step != STEP_END && step != STEP_ERROR)
        abort();
    if (memcmp(out.data + before, expected->payload + *given, len) != 0)
        abort();
    for (size_t i = 0; i < before; i++)
        if (out.data[i] != 0)
            abort();
    *given += len;
    free(out.data);
    return step;
}

static void read_all(struct source *source, uint32_t seed)
{
    struct expected expected = expect();
    size_t given = 0, start = script.pos;
    struct err err = ERR_INIT;
    enum step step;

    do
        step = read_some(source, &seed, &expected, &given, &err);
    while (step == STEP_OK || step == STEP_AGAIN);
    if (step == STEP_END && (!expected.whole || given != expected.len || !script.closed))
        abort();
    if (step == STEP_END && !expected.by_mark && script.pos != start + expected.len)
        abort();
    if (step == STEP_ERROR && expected.whole && !script.failed)
        abort();
    if ((step == STEP_ERROR) != (err.kind != ERR_NONE))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct redis_options options = {.method = REDIS_REPLICATION};
    struct source *source = NULL;
    struct err err = ERR_INIT;
    struct rdb *rdb;

    if (len < HOW_BYTES)
        return 0;
    script = (struct redis_conn){.flags = data[0],
                                 .seed = data[1],
                                 .fault = data[2],
                                 .said = data + HOW_BYTES,
                                 .len = len - HOW_BYTES};
    rdb = rdb_new();
    if (redis_replication_open(&options, script.flags & IS_VALKEY ? "9.0.0" : "", INT64_MAX, rdb,
                               &source, &err) == 0) {
        if (script.closed || script.flags & (HAS_NO_RIGHT | IS_LATE | LOSES_REPLY))
            abort();
        read_all(source, data[3]);
        source_close(source);
    } else if (err.kind == ERR_NONE) {
        abort();
    }
    if (!script.closed)
        abort();
    rdb_free(rdb);
    return 0;
}
