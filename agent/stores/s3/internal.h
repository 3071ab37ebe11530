// SPDX-License-Identifier: Apache-2.0
// What the files of the S3 store share, from the bottom up: url.c and xml.c know no network;
// credentials.c gives the keys; request.c makes one call of the S3 protocol with its retries;
// put.c, get.c, list.c and store.c are the store's operations.
#pragma once

#include "http.h"
#include "store.h"
#include "store_options.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_PART_BYTES        ((size_t)8 * 1024 * 1024)
#define S3_PARTS_IN_MEMORY   3 /* one filling, two in flight */
#define S3_PARTS_MAX         10000
#define S3_KEY_MAX_BYTES     1024
#define S3_ANSWER_MAX_BYTES  ((size_t)64 * 1024)
#define S3_PAGE_MAX_BYTES    ((size_t)4 * 1024 * 1024)
#define S3_SHA256_BYTES      32
#define S3_SHA256_BASE64_CAP 45

/* --- url.c: URLs in the one form that libcurl's signer and the store agree on --- */

struct s3_pair {
    const char *name, *value;
};

/* "scheme://host[:port]" or "scheme://host[:port]/bucket", no slash at the end; free() it.
 * The options' form was checked when they were read; ERR_CONFIG is for what needs several. */
int s3_url_base(const struct s3_options *options, const char *region, char **base, struct err *err);
/* key NULL: the bucket itself. query: any order; its end is a NULL name, or count. free() it. */
char *s3_url(const char *base, const char *key, const struct s3_pair *query, size_t count);
/* Everything but A-Z a-z 0-9 - . _ ~ as %XX; keep_slash: and '/'. */
void s3_url_encode(struct text *out, const char *raw, bool keep_slash);
/* %XX and '+' of encoding-type=url. -1: not of that form, or a zero byte. free() it. */
int s3_url_decode(const char *encoded, char **raw);

/* --- xml.c: hostile XML, read once --- */

/* At the end of each element: path "ListBucketResult/Contents/Key", text "" for those with
 * children. Both lent. 0, or -1 with err set to stop. */
typedef int s3_xml_fn(void *arg, const char *path, const char *text, struct err *err);
/* ERR_STORE for what is not well-formed, nests or is long beyond reason, or has a DOCTYPE. */
int s3_xml_read(const char *data, size_t len, s3_xml_fn *each, void *arg, struct err *err);

struct s3_error {
    char code[64]; /* "NoSuchKey"; "" when there is none */
    char message[256];
};

/* Whether the root is <Error>, and what it says, cleaned of what is not printable. */
bool s3_xml_error(const char *data, size_t len, struct s3_error *error);

/* --- keys.c: what the services that give keys say --- */

struct s3_keys {
    char *access_key, *secret_key;
    char *session_token; /* NULL without one */
    int64_t expires_ms;  /* wall time; 0: never */
};

/* Replace *keys on success. Secrets are registered with log_hide. */
int s3_keys_from_xml(const char *data, size_t len, struct s3_keys *keys, struct err *err);
int s3_keys_from_json(const char *data, size_t len, struct s3_keys *keys, struct err *err);
/* Copies; session_token may be NULL. */
void s3_keys_set(struct s3_keys *keys, const char *access_key, const char *secret_key,
                 const char *session_token, int64_t expires_ms);
void s3_keys_fini(struct s3_keys *keys);

/* --- credentials.c: where keys come from, and when they are fetched anew --- */

struct s3_waiter {
    /* The keys can be had now, or err says why not. */
    void (*wake)(void *arg, const struct err *err);
    void *arg;
    struct s3_waiter *next;
    bool woken;
};

struct s3_credentials;

/* Finds out where keys come from: the options, the environment, a web identity, the container's
 * or the machine's service. Nothing is asked yet. http is lent. */
int s3_credentials_new(const struct s3_options *options, const char *region, struct http *http,
                       struct s3_credentials **credentials, struct err *err);
void s3_credentials_free(struct s3_credentials *credentials);
/* OK: *keys lent until the loop goes on. AGAIN: waiter's wake comes, never from in here. */
enum step s3_credentials_get(struct s3_credentials *credentials, const struct s3_keys **keys,
                             struct s3_waiter *waiter, struct err *err);
/* A waiter that does not wait is fine. */
void s3_credentials_forget(struct s3_credentials *credentials, struct s3_waiter *waiter);
/* The store called the keys expired: false when these cannot be had anew. */
bool s3_credentials_expire(struct s3_credentials *credentials);

/* --- request.c: one call of the protocol, tried again until it succeeds or the deadline --- */

struct s3_store {
    struct store store;
    struct ev_loop *loop;
    struct http *http;
    struct s3_credentials *credentials;
    struct pool *parts;
    char *bucket;
    char *prefix; /* "" or "a/b/": stands before every key */
    char *base;
    char *scope;
    int64_t retry_deadline_ms;
};

struct s3_answer {
    struct err err; /* ERR_NONE: a 2xx without an <Error> in it */
    int status;     /* 0: none came */
    struct s3_error error;
    struct http_answer *http; /* lent */
};

struct s3_headers {
    char *items[12];
    size_t count;
};

/* Takes "Name: value". */
void s3_headers_add(struct s3_headers *headers, char *line);

struct s3_call;

#define S3_ASK_HEADERS 3

struct s3_ask {
    const char *operation; /* "UploadPart": a literal */
    const char *right;     /* "s3:PutObject": what a 403 says is needed; a literal */
    enum http_method method;
    const char *key; /* the store's; NULL: the bucket */
    struct s3_pair query[6];
    const char *headers[S3_ASK_HEADERS]; /* "Name: value" */
    const uint8_t *body;                 /* lent until done */
    size_t body_bytes;
    const uint8_t *sha256;   /* of body; lent until done; NULL: it is computed */
    bool checksum;           /* have the store check and keep it as the object's or part's own */
    bool retry_conflict;     /* a 409 is worth a few attempts */
    bool patient;            /* the store works long before it answers */
    size_t answer_max_bytes; /* 0: S3_ANSWER_MAX_BYTES */
    http_data_fn *on_data;
    /* Optional: headers that change from attempt to attempt. */
    void (*prepare)(void *arg, struct s3_headers *headers);
    /* The call is gone afterwards. Never called from s3_call_start. */
    void (*done)(void *arg, struct s3_answer *answer);
    void *arg;
};

/* Copies what it keeps of ask, but the body. */
struct s3_call *s3_call_start(struct s3_store *store, const struct s3_ask *ask);
/* done is not called. NULL is allowed. */
void s3_call_cancel(struct s3_call *call);
/* After on_data said false. */
void s3_call_resume(struct s3_call *call);

struct s3_result {
    bool done;
    struct s3_answer answer;
    struct http_answer http; /* its body is owned */
};

/* Starts ask (done and arg are filled in) and waits for it on the loop. -1 with the answer's error,
 * or ERR_CANCELLED. s3_result_fini in either case. */
int s3_run(struct s3_store *store, struct s3_ask *ask, struct s3_result *result, struct err *err);
/* The same for cleaning up: at most timeout_ms, and despite a wish to stop. */
int s3_run_briefly(struct s3_store *store, struct s3_ask *ask, int64_t timeout_ms,
                   struct s3_result *result, struct err *err);
void s3_result_fini(struct s3_result *result);

void s3_sha256(const uint8_t *data, size_t len, uint8_t sha256[S3_SHA256_BYTES]);
void s3_sha256_base64(const uint8_t sha256[S3_SHA256_BYTES], char out[S3_SHA256_BASE64_CAP]);

/* --- list.c, put.c, get.c --- */

struct s3_item {
    char *key;
    uint64_t bytes;
    int64_t modified_ms;
    char *upload;
};

/* One answer of ListObjectsV2 or ListMultipartUploads. */
struct s3_page {
    struct s3_item *items;
    size_t count, cap;
    bool truncated;
    bool encoded;     /* keys and markers were, and are not any more */
    char *token;      /* objects: where the next page begins */
    char *key_marker; /* uploads: the same */
    char *upload_id_marker;
};

/* page must be zeroed; s3_page_fini in either case. */
int s3_page_read(const char *data, size_t len, struct s3_page *page, struct err *err);
void s3_page_fini(struct s3_page *page);

int s3_list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
            struct err *err);
int s3_list_uploads(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                    struct err *err);
int s3_abort_upload(struct store *store, const char *key, const char *upload, struct err *err);
int s3_put(struct store *store, const char *key, struct sink **sink, struct err *err);
int s3_get(struct store *store, const char *key, struct source **source, struct err *err);
