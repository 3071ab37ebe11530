// SPDX-License-Identifier: Apache-2.0
// One call of the S3 protocol: keys, headers, signature, the attempt, and the decision whether
// another attempt can help. A call waits for keys, then for an answer, then perhaps for the next
// attempt (full jitter: a random share of a span that doubles, and at least what the store asked
// for in Retry-After), until it succeeds, fails for good, or meets the deadline.
//
// Tried again: broken connections, 408, 429, 500, 502, 503, 504, an <Error> of those kinds in a
// 200, a digest that the store did not find (a few times: the bytes are still here), expired keys
// (once). Everything else is final, and the error says what the store said.
#include "internal.h"

#include "backoff.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#include <ev.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_BASE_MS   200
#define BACKOFF_CAP_MS    20000
#define FEW_ATTEMPTS      4
#define ANSWER_TIMEOUT_MS 300000 /* calls without a stream: the whole of one attempt */

struct s3_call {
    struct s3_store *store;
    struct s3_ask ask; /* query is only valid during start; the rest points to literals or copies */
    char *key;
    char *url;
    char *headers[S3_ASK_HEADERS];
    uint8_t sha256[S3_SHA256_BYTES];
    struct s3_waiter waiter;
    struct http_request *request;
    ev_timer timer; /* the next attempt, or the delivery of failed */
    struct err failed;
    int64_t started_us;
    unsigned attempts; /* so far */
    unsigned few;      /* of those, spent on what is only worth a few */
    bool moved;        /* bytes of the body were taken in this attempt */
    bool renewed;      /* new keys were fetched for this call */
};

enum verdict { FINAL, AGAIN, AGAIN_FEW, AGAIN_NEW_KEYS };

/* --- digests --- */

void s3_sha256(const uint8_t *data, size_t len, uint8_t sha256[S3_SHA256_BYTES])
{
    EVP_Digest(data, len, sha256, NULL, EVP_sha256(), NULL);
}

void s3_sha256_base64(const uint8_t sha256[S3_SHA256_BYTES], char out[S3_SHA256_BASE64_CAP])
{
    EVP_EncodeBlock((unsigned char *)out, sha256, S3_SHA256_BYTES);
}

/* --- what an answer means --- */

static bool is_one_of(const char *code, const char *const *codes)
{
    while (*codes != NULL && strcmp(*codes, code) != 0)
        codes++;
    return *codes != NULL;
}

static enum verdict judge(const struct s3_call *call, const struct s3_answer *answer)
{
    static const char *const passing[] = {"InternalError",       "SlowDown",
                                          "ServiceUnavailable",  "RequestTimeout",
                                          "ThrottlingException", NULL};
    static const char *const digests[] = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                                          "XAmzContentChecksumMismatch", NULL};
    static const char *const expired[] = {"ExpiredToken", "ExpiredTokenException",
                                          "TokenRefreshRequired", NULL};
    const char *code = answer->error.code;

    if (answer->status == 0)
        return answer->http->broken ? AGAIN : FINAL;
    switch (answer->status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return AGAIN;
    case 409:
        return call->ask.retry_conflict ? AGAIN_FEW : FINAL;
    default:
        break;
    }
    if (is_one_of(code, passing))
        return AGAIN;
    if (is_one_of(code, digests))
        return AGAIN_FEW;
    return is_one_of(code, expired) ? AGAIN_NEW_KEYS : FINAL;
}

/* A 404 of something that is no S3, or about something else than objects, must not look as if the
 * object were not there. The answer to HEAD has no body to tell. */
static bool says_missing(const struct s3_call *call, const struct s3_answer *answer)
{
    static const char *const missing[] = {"NoSuchKey", "NoSuchBucket", "NoSuchUpload", NULL};

    return call->ask.method == HTTP_HEAD || is_one_of(answer->error.code, missing);
}

static enum err_kind kind_of(const struct s3_call *call, const struct s3_answer *answer)
{
    static const char *const full[] = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage",
                                       NULL};
    static const char *const region[] = {"AuthorizationHeaderMalformed", "PermanentRedirect",
                                         "TemporaryRedirect", NULL};

    if (judge(call, answer) == AGAIN_FEW && answer->status != 409)
        return ERR_CORRUPT;
    if (is_one_of(answer->error.code, full) || answer->status == 507)
        return ERR_NO_SPACE;
    if (is_one_of(answer->error.code, region))
        return ERR_CONFIG;
    switch (answer->status) {
    case 301:
    case 307:
        return ERR_CONFIG;
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return says_missing(call, answer) ? ERR_NOT_FOUND : ERR_STORE;
    case 409:
        return ERR_CONFLICT;
    case 412:
        return ERR_EXISTS;
    case 429:
    case 503:
        return ERR_BUSY;
    default:
        if (judge(call, answer) == AGAIN)
            return strcmp(answer->error.code, "SlowDown") == 0 ? ERR_BUSY : ERR_UNREACHABLE;
        return judge(call, answer) == AGAIN_NEW_KEYS ? ERR_DENIED : ERR_STORE;
    }
}

static void add_advice(const struct s3_call *call, const struct s3_answer *answer,
                       struct text *text)
{
    const struct s3_store *store = call->store;
    const char *code = answer->error.code;

    if (strcmp(code, "NoSuchBucket") == 0)
        text_add(text, "; there is no bucket %s at %s", store->bucket, store->base);
    else if (strcmp(code, "RequestTimeTooSkewed") == 0)
        text_add(text, "; this machine's clock is wrong");
    else if (strcmp(code, "SignatureDoesNotMatch") == 0)
        text_add(text, "; is the secret key right?");
    else if (strcmp(code, "InvalidAccessKeyId") == 0)
        text_add(text, "; is the access key right, and for this endpoint?");
    else if (judge(call, answer) == AGAIN_NEW_KEYS)
        text_add(text, "; fetch new keys");
    else if (kind_of(call, answer) == ERR_DENIED)
        text_add(text, "; needed: %s on arn:aws:s3:::%s%s%s%s", call->ask.right, store->bucket,
                 call->key == NULL ? "" : "/", call->key == NULL ? "" : store->prefix,
                 call->key == NULL ? "" : "*");
    else if (kind_of(call, answer) == ERR_CONFIG)
        text_add(text, "; is the region right?");
    if (answer->http->bucket_region[0] != '\0' && kind_of(call, answer) == ERR_CONFIG)
        text_add(text, " The store says the bucket is in %s", answer->http->bucket_region);
}

/* "UploadPart s3://bucket/key: HTTP 503 SlowDown: Please ... (request 4F2A), after 7 attempts" */
static void explain(const struct s3_call *call, struct s3_answer *answer)
{
    struct text text = TEXT_INIT;

    text_add(&text, "%s s3://%s/%s%s: ", call->ask.operation, call->store->bucket,
             call->key == NULL ? "" : call->store->prefix, call->key == NULL ? "" : call->key);
    if (answer->status == 0) {
        text_add(&text, "%s", answer->http->err.text);
    } else {
        text_add(&text, "HTTP %d", answer->status);
        if (answer->error.code[0] != '\0')
            text_add(&text, " %s", answer->error.code);
        if (answer->error.message[0] != '\0')
            text_add(&text, ": %s", answer->error.message);
        add_advice(call, answer, &text);
        if (answer->http->request_id[0] != '\0')
            text_add(&text, " (request %s)", answer->http->request_id);
    }
    if (call->attempts > 1)
        text_add(&text, ", after %u attempts in %.1f s", call->attempts,
                 (double)(clock_mono_us() - call->started_us) / 1e6);
    err_set(&answer->err, answer->status == 0 ? answer->http->err.kind : kind_of(call, answer),
            "%s", text_str(&text));
    text_fini(&text);
}

/* --- the life of a call --- */

static void call_free(struct s3_call *call)
{
    s3_credentials_forget(call->store->credentials, &call->waiter);
    ev_timer_stop(call->store->loop, &call->timer);
    for (size_t i = 0; i < S3_ASK_HEADERS; i++)
        free(call->headers[i]);
    free(call->key);
    free(call->url);
    free(call);
}

static void deliver(struct s3_call *call, struct s3_answer *answer)
{
    call->ask.done(call->ask.arg, answer);
    call_free(call);
}

static void arm(struct s3_call *call, int64_t delay_ms)
{
    ev_now_update(call->store->loop);
    ev_timer_set(&call->timer, (double)delay_ms / 1000, 0);
    ev_timer_start(call->store->loop, &call->timer);
}

/* False when the deadline comes before the next attempt. */
static bool arm_next_attempt(struct s3_call *call, int64_t retry_after_ms)
{
    int64_t spent_ms = (clock_mono_us() - call->started_us) / 1000;
    int64_t delay_ms = backoff_ms(call->attempts, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    int64_t left_ms = call->store->retry_deadline_ms - spent_ms;

    if (left_ms <= 0 || retry_after_ms > left_ms)
        return false;
    /* The last attempt comes at the deadline, not somewhere before it. */
    if (delay_ms > left_ms)
        delay_ms = left_ms;
    arm(call, delay_ms > retry_after_ms ? delay_ms : retry_after_ms);
    return true;
}

static bool try_again(struct s3_call *call, const struct s3_answer *answer)
{
    /* A stream that moves is alive, however often it is cut. */
    if (call->moved) {
        call->started_us = clock_mono_us();
        call->attempts = 1;
        call->moved = false;
    }
    switch (judge(call, answer)) {
    case AGAIN_FEW:
        if (++call->few >= FEW_ATTEMPTS)
            return false;
        break;
    case AGAIN_NEW_KEYS:
        if (call->renewed || !s3_credentials_expire(call->store->credentials))
            return false;
        call->renewed = true;
        break;
    case AGAIN:
        break;
    case FINAL:
        return false;
    }
    if (!arm_next_attempt(call, answer->http->retry_after_ms))
        return false;
    log_debug("s3 call failed, trying again", LOG_TEXT("operation", call->ask.operation),
              LOG_NUMBER("status", answer->status), LOG_TEXT("code", answer->error.code),
              LOG_TEXT("reason", answer->http->err.text), LOG_NUMBER("attempts", call->attempts));
    return true;
}

static void on_answer(void *arg, struct http_answer *http)
{
    struct s3_call *call = arg;
    struct s3_answer answer = {.http = http};

    call->request = NULL;
    if (http->err.kind == ERR_NONE)
        answer.status = http->status;
    bool is_error = s3_xml_error(http->body, http->body_bytes, &answer.error);

    if (answer.status / 100 == 2 && !is_error) {
        deliver(call, &answer);
        return;
    }
    if (try_again(call, &answer))
        return;
    explain(call, &answer);
    deliver(call, &answer);
}

static bool on_data(void *arg, const struct http_answer *http, const uint8_t *data, size_t len)
{
    struct s3_call *call = arg;
    bool taken = call->ask.on_data(call->ask.arg, http, data, len);

    call->moved = call->moved || (taken && len > 0);
    return taken;
}

void s3_headers_add(struct s3_headers *headers, char *line)
{
    headers->items[headers->count++] = line;
}

static void add_headers(struct s3_call *call, const struct s3_keys *keys,
                        struct s3_headers *headers)
{
    char hex[2 * S3_SHA256_BYTES + 1];
    char base64[S3_SHA256_BASE64_CAP];

    text_hex(call->sha256, S3_SHA256_BYTES, hex);
    s3_headers_add(headers, text_format("x-amz-content-sha256: %s", hex));
    if (call->ask.checksum) {
        s3_sha256_base64(call->sha256, base64);
        s3_headers_add(headers, text_format("x-amz-checksum-sha256: %s", base64));
    }
    if (keys->session_token != NULL)
        s3_headers_add(headers, text_format("x-amz-security-token: %s", keys->session_token));
    for (size_t i = 0; i < S3_ASK_HEADERS && call->headers[i] != NULL; i++)
        s3_headers_add(headers, mem_strdup(call->headers[i]));
    if (call->ask.prepare != NULL)
        call->ask.prepare(call->ask.arg, headers);
}

static void send_request(struct s3_call *call, const struct s3_keys *keys)
{
    struct s3_headers headers = {.count = 0};
    struct http_signer signer = {.scope = call->store->scope,
                                 .access_key = keys->access_key,
                                 .secret_key = keys->secret_key};

    add_headers(call, keys, &headers);
    call->attempts++;
    call->moved = false;
    call->request = http_start(
        call->store->http,
        &(struct http_ask){
            .method = call->ask.method,
            .url = call->url,
            .headers = (const char *const *)headers.items,
            .body = call->ask.body,
            .body_bytes = call->ask.body_bytes,
            .signer = &signer,
            .answer_max_bytes = call->ask.answer_max_bytes,
            .total_timeout_ms = call->ask.on_data == NULL && call->ask.body_bytes < S3_PART_BYTES
                                    ? ANSWER_TIMEOUT_MS
                                    : 0,
            .fresh = call->attempts > 1,
            .patient = call->ask.patient,
            .on_data = call->ask.on_data == NULL ? NULL : on_data,
            .done = on_answer,
            .arg = call,
        });
    for (size_t i = 0; i < headers.count; i++)
        free(headers.items[i]);
}

/* The keys cannot be had: that is tried again like a broken connection, when it may help. */
static void fail_keys(struct s3_call *call, const struct err *err)
{
    call->attempts++;
    if (err->kind == ERR_UNREACHABLE && arm_next_attempt(call, 0))
        return;
    call->failed = *err;
    err_wrap(&call->failed, "%s s3://%s", call->ask.operation, call->store->bucket);
    arm(call, 0);
}

static void attempt(struct s3_call *call)
{
    const struct s3_keys *keys = NULL;
    struct err err = ERR_INIT;

    switch (s3_credentials_get(call->store->credentials, &keys, &call->waiter, &err)) {
    case STEP_AGAIN:
        return;
    case STEP_ERROR:
        fail_keys(call, &err);
        return;
    default:
        send_request(call, keys);
    }
}

static void on_keys(void *arg, const struct err *err)
{
    struct s3_call *call = arg;

    if (err == NULL)
        attempt(call);
    else
        fail_keys(call, err);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct s3_call *call = timer->data;

    (void)loop;
    (void)events;
    if (call->failed.kind == ERR_NONE) {
        attempt(call);
        return;
    }
    struct http_answer none = {.content_bytes = -1};
    struct s3_answer answer = {.err = call->failed, .http = &none};

    deliver(call, &answer);
}

struct s3_call *s3_call_start(struct s3_store *store, const struct s3_ask *ask)
{
    struct s3_call *call = mem_calloc(1, sizeof *call);
    char *full_key = ask->key == NULL ? NULL : text_format("%s%s", store->prefix, ask->key);

    call->store = store;
    call->ask = *ask;
    if (call->ask.answer_max_bytes == 0)
        call->ask.answer_max_bytes = S3_ANSWER_MAX_BYTES;
    call->key = ask->key == NULL ? NULL : mem_strdup(ask->key);
    call->url = s3_url(store->base, full_key, ask->query, sizeof ask->query / sizeof *ask->query);
    for (size_t i = 0; i < S3_ASK_HEADERS && ask->headers[i] != NULL; i++)
        call->headers[i] = mem_strdup(ask->headers[i]);
    if (ask->sha256 != NULL)
        memcpy(call->sha256, ask->sha256, S3_SHA256_BYTES);
    else
        s3_sha256(ask->body, ask->body_bytes, call->sha256);
    call->waiter = (struct s3_waiter){.wake = on_keys, .arg = call};
    ev_init(&call->timer, on_timer);
    call->timer.data = call;
    call->started_us = clock_mono_us();
    free(full_key);
    attempt(call);
    return call;
}

void s3_call_cancel(struct s3_call *call)
{
    if (call == NULL)
        return;
    http_cancel(call->request);
    call_free(call);
}

void s3_call_resume(struct s3_call *call)
{
    if (call->request != NULL)
        http_resume(call->request);
}

/* --- waiting for one call --- */

static void on_result(void *arg, struct s3_answer *answer)
{
    struct s3_result *result = arg;

    result->http = *answer->http;
    answer->http->body = NULL;
    result->answer = *answer;
    result->answer.http = &result->http;
    result->done = true;
}

static int run(struct s3_store *store, struct s3_ask *ask, int64_t timeout_ms, bool despite_cancel,
               struct s3_result *result, struct err *err)
{
    *result = (struct s3_result){.done = false};
    ask->done = on_result;
    ask->arg = result;
    struct s3_call *call = s3_call_start(store, ask);

    if (http_run(store->http, &result->done, timeout_ms, despite_cancel, err) < 0) {
        s3_call_cancel(call);
        return err_wrap(err, "%s", ask->operation);
    }
    if (result->answer.err.kind == ERR_NONE)
        return 0;
    *err = result->answer.err;
    return -1;
}

int s3_run(struct s3_store *store, struct s3_ask *ask, struct s3_result *result, struct err *err)
{
    return run(store, ask, 0, false, result, err);
}

int s3_run_briefly(struct s3_store *store, struct s3_ask *ask, int64_t timeout_ms,
                   struct s3_result *result, struct err *err)
{
    return run(store, ask, timeout_ms, true, result, err);
}

void s3_result_fini(struct s3_result *result)
{
    free(result->http.body);
    result->http.body = NULL;
}
