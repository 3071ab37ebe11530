// SPDX-License-Identifier: Apache-2.0
// Counting, and the JSON of what was counted.
#include "account.h"

#include "mem.h"
#include "text.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* --- the digest --- */

struct kafka_digest {
    EVP_MD_CTX *context;
};

struct kafka_digest *kafka_digest_new(void)
{
    struct kafka_digest *digest = mem_calloc(1, sizeof *digest);

    digest->context = EVP_MD_CTX_new();
    if (digest->context == NULL || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1)
        abort(); /* out of memory */
    return digest;
}

void kafka_digest_batch(struct kafka_digest *digest, const struct kafka_batch *batch)
{
    /* As they lie in the batch: 8 bytes at 0, 4 at 17. The leader epoch between is the broker's. */
    EVP_DigestUpdate(digest->context, batch->data, 8);
    EVP_DigestUpdate(digest->context, batch->data + 17, 4);
}

void kafka_digest_end(struct kafka_digest *digest, char sha256[65])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    EVP_DigestFinal_ex(digest->context, sum, &len);
    text_hex(sum, len, sha256);
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

/* --- counting --- */

void kafka_account_init(struct kafka_account *account, int64_t from, int64_t end)
{
    *account = (struct kafka_account){.from = from,
                                      .end = end,
                                      .first_offset = -1,
                                      .last_offset = -1,
                                      .next_offset = from,
                                      .digest = kafka_digest_new()};
}

void kafka_account_fini(struct kafka_account *account)
{
    if (account->digest != NULL)
        kafka_digest_end(account->digest, account->sha256);
    kafka_transactions_fini(&account->transactions);
    free(account->segments);
    *account = (struct kafka_account){.from = 0};
}

int kafka_account_segment(struct kafka_account *account, int64_t base_offset, struct err *err)
{
    if (account->segment_count == KAFKA_MAX_SEGMENTS)
        return err_set(err, ERR_SOURCE, "has more than %d segments", KAFKA_MAX_SEGMENTS);
    account->segments =
        mem_realloc(account->segments, (account->segment_count + 1) * sizeof *account->segments);
    account->segments[account->segment_count++] =
        (struct kafka_segment){.base_offset = base_offset, .end_offset = base_offset};
    return 0;
}

int kafka_account_aborted(struct kafka_account *account, int64_t producer_id, int64_t first_offset,
                          struct err *err)
{
    return kafka_transactions_add(&account->transactions, producer_id, first_offset, err);
}

static void count_times(struct kafka_account *account, const struct kafka_batch *batch)
{
    if (batch->control)
        return;
    if (account->records == 0)
        account->first_timestamp_ms =
            batch->log_append_time ? batch->max_timestamp : batch->base_timestamp;
    if (account->records == 0 || batch->max_timestamp > account->max_timestamp_ms)
        account->max_timestamp_ms = batch->max_timestamp;
}

void kafka_account_batch(struct kafka_account *account, const struct kafka_batch *batch)
{
    struct kafka_segment *segment = &account->segments[account->segment_count - 1];
    uint64_t span = (uint64_t)(batch->last_offset - batch->base_offset) + 1;
    uint64_t records = (uint64_t)batch->record_count;
    bool aborted = kafka_transactions_aborted(&account->transactions, batch);

    if (batch->base_offset > account->next_offset)
        account->missing_offsets += (uint64_t)(batch->base_offset - account->next_offset);
    account->missing_offsets += span > records ? span - records : 0;
    account->next_offset = batch->last_offset + 1;
    count_times(account, batch);
    if (account->batches == 0)
        account->first_offset = batch->base_offset;
    account->last_offset = batch->last_offset;
    account->batches++;
    account->bytes += batch->bytes;
    segment->batches++;
    segment->bytes += batch->bytes;
    segment->end_offset = batch->last_offset + 1;
    kafka_digest_batch(account->digest, batch);
    if (batch->control) {
        account->control_batches++;
        return;
    }
    account->records += records;
    segment->records += records;
    account->aborted_batches += aborted;
}

void kafka_account_end(struct kafka_account *account)
{
    if (account->next_offset < account->end)
        account->missing_offsets += (uint64_t)(account->end - account->next_offset);
    kafka_digest_end(account->digest, account->sha256);
    account->digest = NULL;
}

/* --- JSON --- */

static json_t *number_or_null(bool known, int64_t value)
{
    return known ? json_integer(value) : json_null();
}

void kafka_account_write(const struct kafka_account *account, json_t *partition)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        {"bytes", account->bytes},
        {"batches", account->batches},
        {"records", account->records},
        {"control_batches", account->control_batches},
        {"aborted_batches", account->aborted_batches},
        {"missing_offsets", account->missing_offsets},
    };
    json_t *aborted = json_array();
    json_t *segments = json_array();

    json_object_set_new(partition, "from", json_integer(account->from));
    json_object_set_new(partition, "end", json_integer(account->end));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(partition, counts[i].key, json_integer((json_int_t)counts[i].value));
    json_object_set_new(partition, "first_offset",
                        number_or_null(account->batches > 0, account->first_offset));
    json_object_set_new(partition, "last_offset",
                        number_or_null(account->batches > 0, account->last_offset));
    json_object_set_new(partition, "first_timestamp",
                        number_or_null(account->records > 0, account->first_timestamp_ms));
    json_object_set_new(partition, "max_timestamp",
                        number_or_null(account->records > 0, account->max_timestamp_ms));
    json_object_set_new(partition, "batches_sha256", json_string(account->sha256));
    for (size_t i = 0; i < account->transactions.count; i++)
        json_array_append_new(aborted,
                              json_pack("[I, I]", account->transactions.aborted[i].producer_id,
                                        account->transactions.aborted[i].first_offset));
    json_object_set_new(partition, "aborted", aborted);
    for (size_t i = 0; i < account->segment_count; i++) {
        const struct kafka_segment *segment = &account->segments[i];

        json_array_append_new(segments, json_pack("{s:I, s:I, s:I, s:I, s:I}", "base",
                                                  segment->base_offset, "end", segment->end_offset,
                                                  "bytes", (json_int_t)segment->bytes, "batches",
                                                  (json_int_t)segment->batches, "records",
                                                  (json_int_t)segment->records));
    }
    json_object_set_new(partition, "segments", segments);
}

static int read_number(const json_t *from, const char *key, int64_t *value, struct err *err)
{
    const json_t *number = json_object_get(from, key);

    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return err_set(err, ERR_CORRUPT, "%s must be a whole number, 0 or more", key);
    *value = json_integer_value(number);
    return 0;
}

static int read_count(const json_t *from, const char *key, uint64_t *value, struct err *err)
{
    int64_t number;

    if (read_number(from, key, &number, err) < 0)
        return -1;
    *value = (uint64_t)number;
    return 0;
}

/* Times may be before 1970. */
static int read_nullable(const json_t *from, const char *key, int64_t absent, int64_t *value,
                         struct err *err)
{
    const json_t *number = json_object_get(from, key);

    *value = absent;
    if (json_is_integer(number))
        *value = json_integer_value(number);
    else if (!json_is_null(number))
        return err_set(err, ERR_CORRUPT, "%s must be null or a whole number", key);
    return 0;
}

static int read_aborted(const json_t *partition, struct kafka_account *account, struct err *err)
{
    const json_t *array = json_object_get(partition, "aborted");
    size_t count = json_array_size(array);

    if (!json_is_array(array) || count > KAFKA_MAX_ABORTED)
        return err_set(err, ERR_CORRUPT, "aborted must be an array of at most %d",
                       KAFKA_MAX_ABORTED);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(array, i);
        const json_t *producer = json_array_get(pair, 0);
        const json_t *first = json_array_get(pair, 1);

        if (json_array_size(pair) != 2 || !json_is_integer(producer) || !json_is_integer(first))
            return err_set(err, ERR_CORRUPT, "aborted[%zu] must be a producer and an offset", i);
        if (kafka_transactions_add(&account->transactions, json_integer_value(producer),
                                   json_integer_value(first), err) < 0)
            return -1;
        if (account->transactions.count != i + 1 ||
            account->transactions.aborted[i].producer_id != json_integer_value(producer) ||
            account->transactions.aborted[i].first_offset != json_integer_value(first))
            return err_set(err, ERR_CORRUPT, "aborted[%zu] must come after the one before", i);
    }
    return 0;
}

static int read_segments(const json_t *partition, struct kafka_account *account, struct err *err)
{
    const json_t *array = json_object_get(partition, "segments");
    size_t count = json_array_size(array);
    int64_t least = 0;

    if (!json_is_array(array) || count > KAFKA_MAX_SEGMENTS)
        return err_set(err, ERR_CORRUPT, "segments must be an array of at most %d",
                       KAFKA_MAX_SEGMENTS);
    account->segments = mem_calloc(count + 1, sizeof *account->segments);
    for (size_t i = 0; i < count; i++) {
        const json_t *from = json_array_get(array, i);
        struct kafka_segment *segment = &account->segments[i];

        if (read_number(from, "base", &segment->base_offset, err) < 0 ||
            read_number(from, "end", &segment->end_offset, err) < 0 ||
            read_count(from, "bytes", &segment->bytes, err) < 0 ||
            read_count(from, "batches", &segment->batches, err) < 0 ||
            read_count(from, "records", &segment->records, err) < 0)
            return err_wrap(err, "segments[%zu]", i);
        if (segment->base_offset < least || segment->end_offset <= segment->base_offset)
            return err_set(err, ERR_CORRUPT,
                           "segments[%zu] must begin after the one before, and end later", i);
        least = segment->end_offset;
        account->segment_count = i + 1;
    }
    return 0;
}

int kafka_account_read(const json_t *partition, struct kafka_account *account, struct err *err)
{
    const char *sha256 = json_string_value(json_object_get(partition, "batches_sha256"));

    *account = (struct kafka_account){.from = 0};
    if (read_number(partition, "from", &account->from, err) < 0 ||
        read_number(partition, "end", &account->end, err) < 0 ||
        read_count(partition, "bytes", &account->bytes, err) < 0 ||
        read_count(partition, "batches", &account->batches, err) < 0 ||
        read_count(partition, "records", &account->records, err) < 0 ||
        read_count(partition, "control_batches", &account->control_batches, err) < 0 ||
        read_count(partition, "aborted_batches", &account->aborted_batches, err) < 0 ||
        read_count(partition, "missing_offsets", &account->missing_offsets, err) < 0 ||
        read_nullable(partition, "first_offset", -1, &account->first_offset, err) < 0 ||
        read_nullable(partition, "last_offset", -1, &account->last_offset, err) < 0 ||
        read_nullable(partition, "first_timestamp", 0, &account->first_timestamp_ms, err) < 0 ||
        read_nullable(partition, "max_timestamp", 0, &account->max_timestamp_ms, err) < 0)
        goto failed;
    if (account->end < account->from) {
        err_set(err, ERR_CORRUPT, "end must not be before from");
        goto failed;
    }
    if (sha256 == NULL || strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64) {
        err_set(err, ERR_CORRUPT, "batches_sha256 must be 64 lower-case hexadecimal digits");
        goto failed;
    }
    memcpy(account->sha256, sha256, 65);
    if (read_aborted(partition, account, err) == 0 && read_segments(partition, account, err) == 0)
        return 0;
failed:
    kafka_account_fini(account);
    return -1;
}
