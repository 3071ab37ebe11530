// SPDX-License-Identifier: Apache-2.0
// Proof of a log segment without a broker: every checksum, every offset in its order, and as many
// batches and records as the manifest says.
#include "kafka_snapshot.h"

#include "account.h"
#include "batches.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct proof {
    struct sink sink;
    struct kafka_batches *batches;
    struct kafka_segment expected, found;
    json_t *findings; /* lent */
};

bool kafka_segment_parse(const char *name, char *topic, size_t *partition, int64_t *base_offset)
{
    size_t len = strcspn(name, "/");
    char number[24];
    uint64_t value, base;
    const char *rest = name + len;

    if (len == 0 || len >= KAFKA_TOPIC_CAP || rest[0] != '/')
        return false;
    snprintf(topic, KAFKA_TOPIC_CAP, "%.*s", (int)len, name);
    len = strcspn(rest + 1, "/");
    if (len == 0 || len >= sizeof number || rest[1 + len] != '/')
        return false;
    snprintf(number, sizeof number, "%.*s", (int)len, rest + 1);
    rest += len + 2;
    if (text_parse_u64(number, &value) < 0 || strlen(rest) != 24 || strcmp(rest + 20, ".log") != 0)
        return false;
    snprintf(number, sizeof number, "%.20s", rest);
    rest = number + strspn(number, "0");
    if (text_parse_u64(rest[0] == '\0' ? "0" : rest, &base) < 0 || base > INT64_MAX)
        return false;
    *partition = value;
    *base_offset = (int64_t)base;
    return true;
}

void kafka_segment_count(struct kafka_segment *found, const struct kafka_batch *batch)
{
    if (found->batches == 0)
        found->base_offset = batch->base_offset;
    found->end_offset = batch->last_offset + 1;
    found->bytes += batch->bytes;
    found->batches++;
    found->records += batch->control ? 0 : (uint64_t)batch->record_count;
}

static int on_batch(void *arg, const struct kafka_batch *batch, struct err *err)
{
    struct proof *proof = arg;

    (void)err;
    kafka_segment_count(&proof->found, batch);
    return 0;
}

static enum step proof_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct proof *proof = (struct proof *)sink;

    if (kafka_batches_feed(proof->batches, in->data + in->pos, in->len - in->pos, err) < 0)
        return STEP_ERROR;
    in->pos = in->len;
    return STEP_OK;
}

int kafka_segment_match(const struct kafka_segment *is, const struct kafka_segment *was,
                        struct err *err)
{
    if (is->base_offset == was->base_offset && is->end_offset == was->end_offset &&
        is->bytes == was->bytes && is->batches == was->batches && is->records == was->records)
        return 0;
    return err_set(err, ERR_CORRUPT,
                   "the segment has offsets %lld to %lld in %llu batches with %llu records, its "
                   "manifest says %lld to %lld in %llu with %llu",
                   (long long)is->base_offset, (long long)is->end_offset - 1,
                   (unsigned long long)is->batches, (unsigned long long)is->records,
                   (long long)was->base_offset, (long long)was->end_offset - 1,
                   (unsigned long long)was->batches, (unsigned long long)was->records);
}

static void add(json_t *findings, const char *key, uint64_t count)
{
    json_int_t sum = json_integer_value(json_object_get(findings, key)) + (json_int_t)count;

    json_object_set_new(findings, key, json_integer(sum));
}

static enum step proof_commit(struct sink *sink, struct err *err)
{
    struct proof *proof = (struct proof *)sink;

    if (kafka_batches_end(proof->batches, err) < 0 ||
        kafka_segment_match(&proof->found, &proof->expected, err) < 0)
        return STEP_ERROR;
    add(proof->findings, "segments", 1);
    add(proof->findings, "batches", proof->found.batches);
    add(proof->findings, "records", proof->found.records);
    return STEP_END;
}

static void proof_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    (void)sink;
    (void)loop;
    waker.wake(waker.arg);
}

static void proof_close(struct sink *sink)
{
    struct proof *proof = (struct proof *)sink;

    kafka_batches_free(proof->batches);
    free(proof);
}

static const struct sink_ops proof_ops = {
    .name = "proof of a log segment",
    .write = proof_write,
    .commit = proof_commit,
    .arm = proof_arm,
    .close = proof_close,
};

int kafka_segment_find(const struct manifest *manifest, const char *object,
                       struct kafka_segment_said *said, struct err *err)
{
    int64_t base_offset = 0;
    struct kafka_account account;
    const json_t *there;
    int rc = -1;

    if (!kafka_segment_parse(object, said->topic, &said->partition, &base_offset))
        return err_set(err, ERR_CORRUPT, "a backup of Kafka holds no object %s", object);
    there = json_object_get(json_object_get(manifest->facts, "topics"), said->topic);
    there = json_array_get(json_object_get(there, "partitions"), said->partition);
    if (there == NULL)
        return err_set(err, ERR_CORRUPT, "the manifest says nothing of its partition");
    if (kafka_account_read(there, &account, err) < 0)
        return -1;
    for (size_t i = 0; rc < 0 && i < account.segment_count; i++) {
        said->segment = account.segments[i];
        rc = said->segment.base_offset == base_offset ? 0 : -1;
    }
    said->from = account.from;
    said->end = account.end;
    kafka_account_fini(&account);
    return rc == 0 ? 0 : err_set(err, ERR_CORRUPT, "the manifest has no such segment");
}

int kafka_prove(const struct component_options *component, const struct manifest *manifest,
                const char *object, json_t *findings, struct sink **sink, struct err *err)
{
    struct kafka_segment_said said;
    struct proof *proof;

    (void)component;
    if (kafka_segment_find(manifest, object, &said, err) < 0)
        return -1;
    proof = mem_calloc(1, sizeof *proof);
    proof->expected = said.segment;
    proof->sink.ops = &proof_ops;
    proof->batches = kafka_batches_new(on_batch, proof);
    proof->findings = findings;
    *sink = &proof->sink;
    return 0;
}
