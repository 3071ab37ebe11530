// SPDX-License-Identifier: Apache-2.0
// <20 digits>.report, `last` (the last number used), `instance` (hexadecimal).
#include "queue.h"

#include "file.h"
#include "folder.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SUFFIX           ".report"
#define DIGITS           20
#define REPORT_MAX_BYTES ((size_t)64 << 10)

static char *queue_path(const char *state_path, const char *name)
{
    return text_format("%s/reports/%s", state_path, name);
}

static char *report_path(const char *state_path, uint64_t sequence)
{
    return text_format("%s/reports/%0*" PRIu64 SUFFIX, state_path, DIGITS, sequence);
}

static bool take_sequence(const char *name, uint64_t *sequence)
{
    char digits[DIGITS + 1];

    if (strlen(name) != DIGITS + strlen(SUFFIX) || strcmp(name + DIGITS, SUFFIX) != 0)
        return false;
    snprintf(digits, sizeof digits, "%.*s", DIGITS, name);
    return text_parse_u64(digits, sequence) == 0;
}

static int make_instance(const char *path, uint8_t instance[QUEUE_INSTANCE_BYTES], struct err *err)
{
    char hex[2 * QUEUE_INSTANCE_BYTES + 1];

    if (getrandom(instance, QUEUE_INSTANCE_BYTES, 0) != QUEUE_INSTANCE_BYTES)
        return err_set_errno(err, errno, "random bytes");
    text_hex(instance, QUEUE_INSTANCE_BYTES, hex);
    if (file_make_parents(path, err) < 0)
        return -1;
    return file_replace(path, hex, strlen(hex), err);
}

static bool parse_hex(const char *hex, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned byte;

        if (strspn(hex + 2 * i, "0123456789abcdef") < 2 || sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        bytes[i] = (uint8_t)byte;
    }
    return hex[2 * count] == '\0';
}

int queue_instance(const char *state_path, uint8_t instance[QUEUE_INSTANCE_BYTES], struct err *err)
{
    char *path = queue_path(state_path, "instance");
    char *hex = NULL;
    int rc = file_read(path, 64, &hex, NULL, err);

    /* One that cannot be read is one that nobody knows: a new one is right then too. */
    if (rc < 0 && err->kind != ERR_NOT_FOUND)
        goto out;
    if (rc == 0 && parse_hex(hex, instance, QUEUE_INSTANCE_BYTES))
        goto out;
    err_clear(err);
    rc = make_instance(path, instance, err);
out:
    free(hex);
    free(path);
    return rc;
}

struct listing {
    uint64_t after;
    uint64_t *lowest; /* sorted */
    size_t cap, count;
    size_t total;
    uint64_t highest;
};

static int on_name(void *arg, const char *name, struct err *err)
{
    struct listing *listing = arg;
    uint64_t sequence;
    size_t at;

    (void)err;
    if (!take_sequence(name, &sequence))
        return 0;
    listing->total++;
    if (sequence > listing->highest)
        listing->highest = sequence;
    if (sequence <= listing->after ||
        (listing->count == listing->cap &&
         (listing->cap == 0 || sequence > listing->lowest[listing->count - 1])))
        return 0;
    listing->count -= listing->count == listing->cap;
    for (at = listing->count; at > 0 && listing->lowest[at - 1] > sequence; at--)
        listing->lowest[at] = listing->lowest[at - 1];
    listing->lowest[at] = sequence;
    listing->count++;
    return 0;
}

static int look(const char *state_path, struct listing *listing, struct err *err)
{
    char *folder = text_format("%s/reports", state_path);
    int rc = folder_each(folder, on_name, listing, err);

    free(folder);
    return rc;
}

int queue_list(const char *state_path, uint64_t after, uint64_t *sequences, size_t cap,
               size_t *count, size_t *total, struct err *err)
{
    struct listing listing = {.after = after, .lowest = sequences, .cap = cap};

    if (look(state_path, &listing, err) < 0)
        return -1;
    *count = listing.count;
    *total = listing.total;
    return 0;
}

/* Whatever of the two is there says at least that much was used. */
static int last_used(const char *path, const struct listing *listing, uint64_t *last,
                     struct err *err)
{
    char *text = NULL;
    int rc = file_read(path, 64, &text, NULL, err);

    *last = 0;
    if (rc < 0 && err->kind == ERR_NOT_FOUND) {
        err_clear(err);
        rc = 0;
    } else if (rc == 0 && text_parse_u64(text, last) < 0) {
        rc = err_set(err, ERR_CORRUPT, "%s is no number; remove the folder reports to begin anew",
                     path);
    }
    if (listing->highest > *last)
        *last = listing->highest;
    free(text);
    return rc;
}

static int drop_oldest(const char *state_path, uint64_t sequence, struct err *err)
{
    char *path = report_path(state_path, sequence);
    int rc = file_remove(path, err);

    log_warn("too many reports wait for the collector, the oldest is dropped",
             LOG_NUMBER("sequence", sequence), LOG_NUMBER("most", QUEUE_MAX_REPORTS));
    free(path);
    return rc;
}

static int keep(const char *state_path, const char *last_path, lifeboat_v1_Report *report,
                struct err *err)
{
    char *number = text_format("%" PRIu64, report->sequence);
    char *path = report_path(state_path, report->sequence);
    struct text data = TEXT_INIT;
    int rc;

    wire_add(&data, lifeboat_v1_Report_fields, report);
    rc = file_make_parents(path, err);
    if (rc == 0)
        rc = file_replace(last_path, number, strlen(number), err);
    if (rc == 0)
        rc = file_replace(path, data.data, data.len, err);
    text_fini(&data);
    free(path);
    free(number);
    return rc;
}

int queue_add(const char *state_path, lifeboat_v1_Report *report, struct err *err)
{
    uint64_t oldest = 0;
    struct listing listing = {.lowest = &oldest, .cap = 1};
    char *last_path = queue_path(state_path, "last");
    uint64_t last = 0;
    int rc = look(state_path, &listing, err);

    if (rc == 0)
        rc = last_used(last_path, &listing, &last, err);
    if (rc == 0) {
        report->sequence = last + 1;
        rc = keep(state_path, last_path, report, err);
    }
    if (rc == 0 && listing.total >= QUEUE_MAX_REPORTS)
        rc = drop_oldest(state_path, oldest, err);
    free(last_path);
    return rc;
}

int queue_read(const char *state_path, uint64_t sequence, lifeboat_v1_Report *report,
               struct err *err)
{
    char *path = report_path(state_path, sequence);
    char *data = NULL;
    size_t len = 0;
    int rc = file_read(path, REPORT_MAX_BYTES, &data, &len, err);

    if (rc == 0)
        rc = wire_read(lifeboat_v1_Report_fields, (uint8_t *)data, len, report, err);
    if (rc < 0)
        err_wrap(err, "%s", path);
    free(data);
    free(path);
    return rc;
}

struct forgetting {
    const char *state_path;
    uint64_t up_to;
};

static int forget_one(void *arg, const char *name, struct err *err)
{
    const struct forgetting *forgetting = arg;
    uint64_t sequence;
    char *path;
    int rc;

    if (!take_sequence(name, &sequence) || sequence > forgetting->up_to)
        return 0;
    path = report_path(forgetting->state_path, sequence);
    rc = file_remove(path, err);
    free(path);
    return rc;
}

int queue_forget(const char *state_path, uint64_t sequence, struct err *err)
{
    struct forgetting forgetting = {.state_path = state_path, .up_to = sequence};
    char *folder = text_format("%s/reports", state_path);
    int rc = folder_each(folder, forget_one, &forgetting, err);

    free(folder);
    return rc;
}
