// SPDX-License-Identifier: Apache-2.0
// The key is taken: by whom? The object is read back and compared, part by part, with the digests
// of what was sent. Equal bytes mean an own request that succeeded and whose answer was lost (or a
// twin, which is as good); anything else is a clash of names.
#include "put.h"

#include <string.h>

#define READ_BYTES      ((size_t)64 * 1024)
#define READS_IN_A_TURN 16

static int differs(const struct s3_put *put, struct err *err)
{
    return err_set(err, ERR_EXISTS, "s3://%s/%s%s is there already, with other bytes",
                   put->store->bucket, put->store->prefix, put->key);
}

/* The part that ends here must be the one that was sent. */
static int end_part(struct s3_put *put, struct err *err)
{
    size_t i = (size_t)((put->there_bytes - 1) / S3_PART_BYTES);
    uint8_t sha256[S3_SHA256_BYTES];

    EVP_DigestFinal_ex(put->digest, sha256, NULL);
    EVP_DigestInit_ex(put->digest, EVP_sha256(), NULL);
    return memcmp(sha256, put->records[i].sha256, sizeof sha256) == 0 ? 0 : differs(put, err);
}

static int take(struct s3_put *put, const uint8_t *data, size_t len, struct err *err)
{
    if (len > put->bytes - put->there_bytes)
        return differs(put, err);
    while (len > 0) {
        size_t room = S3_PART_BYTES - (size_t)(put->there_bytes % S3_PART_BYTES);
        size_t step = len < room ? len : room;

        EVP_DigestUpdate(put->digest, data, step);
        put->there_bytes += step;
        data += step;
        len -= step;
        if ((step == room || put->there_bytes == put->bytes) && end_part(put, err) < 0)
            return -1;
    }
    return 0;
}

static enum step on_error(const struct s3_put *put, struct err *err)
{
    if (err->kind != ERR_NOT_FOUND)
        err_wrap(err, "read back what is there already");
    else if (put->upload_is_gone)
        err_set(err, ERR_CONFLICT, "%s: another client aborted this upload", put->key);
    else
        err_set(err, ERR_CONFLICT, "%s: it was there already, and then it was not", put->key);
    return STEP_ERROR;
}

enum step s3_put_check(struct s3_put *put, struct err *err)
{
    uint8_t buffer[READ_BYTES];

    if (put->there == NULL) {
        if (s3_get(&put->store->store, put->key, &put->there, err) < 0)
            return STEP_ERROR;
        EVP_DigestInit_ex(put->digest, EVP_sha256(), NULL);
    }
    put->there_waits = false;
    for (int i = 0; i < READS_IN_A_TURN; i++) {
        struct span_out out = {.data = buffer, .cap = sizeof buffer};
        enum step step = put->there->ops->read(put->there, &out, err);

        if (step == STEP_ERROR)
            return on_error(put, err);
        if (take(put, buffer, out.len, err) < 0)
            return STEP_ERROR;
        if (step == STEP_AGAIN) {
            put->there_waits = true;
            return STEP_AGAIN;
        }
        if (step == STEP_END) {
            if (put->there_bytes != put->bytes) {
                differs(put, err);
                return STEP_ERROR;
            }
            s3_put_move(put, PUT_STORED);
            return STEP_END;
        }
    }
    return STEP_AGAIN;
}
