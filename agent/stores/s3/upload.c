// SPDX-License-Identifier: Apache-2.0
// The requests that store an object: one PUT, or create, parts and complete. Each ends in a
// callback that decides what follows. All are create-only (If-None-Match: *); "the key is taken"
// (412), and a complete that finds its upload gone, may both be the echo of an own request whose
// answer was lost, and lead to reading the object back.
#include "put.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT_MAX       2
#define UPLOAD_ID_MAX_BYTES 2048
#define COMPLETE_MAX_BYTES  ((size_t)256 * 1024)
#define CONTENT_TYPE        "Content-Type: application/octet-stream"
#define CREATE_ONLY         "If-None-Match: *"

/* --- the end: one PUT or a complete --- */

static void on_finished(void *arg, struct s3_answer *answer)
{
    struct s3_put *put = arg;

    put->call = NULL;
    put->upload_is_gone = put->upload != NULL && strcmp(answer->error.code, "NoSuchUpload") == 0;
    if (answer->err.kind == ERR_NONE) {
        free(put->upload);
        put->upload = NULL;
        s3_put_move(put, PUT_STORED);
    } else if (answer->status == 412 || put->upload_is_gone) {
        s3_put_move(put, PUT_CHECKING);
    } else {
        /* An abort of somebody else's beside parts in flight leaves some of them. */
        if (strcmp(answer->error.code, "InvalidPart") == 0)
            answer->err.kind = ERR_CONFLICT;
        s3_put_fail(put, &answer->err);
    }
    s3_put_wake(put);
}

void s3_put_single(struct s3_put *put)
{
    struct part *part = &put->parts[0];

    s3_put_move(put, PUT_FINISHING);
    part->state = PART_SENDING;
    put->call = s3_call_start(put->store, &(struct s3_ask){
                                              .operation = "PutObject",
                                              .right = "s3:PutObject",
                                              .method = HTTP_PUT,
                                              .key = put->key,
                                              .headers = {CONTENT_TYPE, CREATE_ONLY},
                                              .body = part->chunk,
                                              .body_bytes = part->bytes,
                                              .sha256 = put->records[0].sha256,
                                              .checksum = true,
                                              .retry_conflict = true,
                                              .done = on_finished,
                                              .arg = put,
                                          });
}

/* A store that copies the parts together may be silent for minutes, and a second complete beside
 * the first has made one lose the object. */
static void complete(struct s3_put *put)
{
    char base64[S3_SHA256_BASE64_CAP];

    s3_put_move(put, PUT_FINISHING);
    text_add(&put->list, "<CompleteMultipartUpload>");
    for (unsigned i = 0; i < put->record_count; i++) {
        s3_sha256_base64(put->records[i].sha256, base64);
        text_add(&put->list,
                 "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag>"
                 "<ChecksumSHA256>%s</ChecksumSHA256></Part>",
                 i + 1, put->records[i].etag, base64);
    }
    text_add(&put->list, "</CompleteMultipartUpload>");
    put->call =
        s3_call_start(put->store, &(struct s3_ask){
                                      .operation = "CompleteMultipartUpload",
                                      .right = "s3:PutObject",
                                      .method = HTTP_POST,
                                      .key = put->key,
                                      .query = {{"uploadId", put->upload}},
                                      .headers = {"Content-Type: application/xml", CREATE_ONLY},
                                      .body = (const uint8_t *)put->list.data,
                                      .body_bytes = put->list.len,
                                      .patient = true,
                                      .answer_max_bytes = COMPLETE_MAX_BYTES,
                                      .done = on_finished,
                                      .arg = put,
                                  });
}

/* --- parts --- */

/* It goes back in XML as it came. */
static bool is_honest_etag(const char *etag)
{
    size_t len = strlen(etag);

    for (size_t i = 0; i < len; i++)
        if (etag[i] <= 0x20 || etag[i] >= 0x7f || strchr("<>&", etag[i]) != NULL)
            return false;
    return len > 0;
}

static void on_part(void *arg, struct s3_answer *answer)
{
    struct part *part = arg;
    struct s3_put *put = part->put;
    struct part_record *record = &put->records[part->number - 1];

    part->call = NULL;
    part->state = PART_EMPTY;
    s3_put_note_settled(put);
    if (strcmp(answer->error.code, "NoSuchUpload") == 0) {
        answer->err.kind = ERR_CONFLICT;
        err_wrap(&answer->err, "another client aborted this upload");
    }
    if (answer->err.kind == ERR_NONE && !is_honest_etag(answer->http->etag))
        err_set(&answer->err, ERR_STORE, "UploadPart %s: the store gave no usable ETag", put->key);
    if (answer->err.kind != ERR_NONE) {
        s3_put_fail(put, &answer->err);
        return;
    }
    memcpy(record->etag, answer->http->etag, sizeof record->etag);
    s3_put_go_on(put);
    s3_put_wake(put);
}

static void send_part(struct s3_put *put, struct part *part)
{
    char number[16];

    snprintf(number, sizeof number, "%u", part->number);
    part->state = PART_SENDING;
    part->call =
        s3_call_start(put->store, &(struct s3_ask){
                                      .operation = "UploadPart",
                                      .right = "s3:PutObject",
                                      .method = HTTP_PUT,
                                      .key = put->key,
                                      .query = {{"partNumber", number}, {"uploadId", put->upload}},
                                      .body = part->chunk,
                                      .body_bytes = part->bytes,
                                      .sha256 = put->records[part->number - 1].sha256,
                                      .checksum = true,
                                      .done = on_part,
                                      .arg = part,
                                  });
}

void s3_put_go_on(struct s3_put *put)
{
    unsigned sending = 0;
    struct part *next = NULL;

    if (put->state != PUT_SENDING || put->err.kind != ERR_NONE)
        return;
    do {
        sending = 0;
        next = NULL;
        for (struct part *part = put->parts; part < put->parts + S3_PARTS_IN_MEMORY; part++) {
            sending += part->state == PART_SENDING;
            if (part->state == PART_READY && (next == NULL || part->number < next->number))
                next = part;
        }
        if (next != NULL && sending < IN_FLIGHT_MAX)
            send_part(put, next);
    } while (next != NULL && sending < IN_FLIGHT_MAX);
    if (put->ended && next == NULL && sending == 0)
        complete(put);
}

/* --- create --- */

static int take_upload_id(void *arg, const char *path, const char *text, struct err *err)
{
    struct s3_put *put = arg;

    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0)
        return 0;
    if (*text == '\0' || strlen(text) > UPLOAD_ID_MAX_BYTES || put->upload != NULL)
        return err_set(err, ERR_STORE, "no usable UploadId");
    put->upload = mem_strdup(text);
    return 0;
}

static void on_created(void *arg, struct s3_answer *answer)
{
    struct s3_put *put = arg;
    struct err *err = &answer->err;

    put->call = NULL;
    s3_put_note_settled(put);
    if (err->kind == ERR_NONE &&
        s3_xml_read(answer->http->body == NULL ? "" : answer->http->body, answer->http->body_bytes,
                    take_upload_id, put, err) == 0 &&
        put->upload == NULL)
        err_set(err, ERR_STORE, "no UploadId");
    if (err->kind != ERR_NONE) {
        if (answer->status / 100 == 2)
            err_wrap(err, "CreateMultipartUpload %s", put->key);
        s3_put_fail(put, err);
        return;
    }
    s3_put_move(put, PUT_SENDING);
    s3_put_go_on(put);
    s3_put_wake(put);
}

void s3_put_create(struct s3_put *put)
{
    s3_put_move(put, PUT_CREATING);
    put->call =
        s3_call_start(put->store, &(struct s3_ask){
                                      .operation = "CreateMultipartUpload",
                                      .right = "s3:PutObject",
                                      .method = HTTP_POST,
                                      .key = put->key,
                                      .query = {{"uploads", ""}},
                                      .headers = {CONTENT_TYPE, "x-amz-checksum-algorithm: SHA256"},
                                      .done = on_created,
                                      .arg = put,
                                  });
}
