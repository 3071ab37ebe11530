// SPDX-License-Identifier: Apache-2.0
// HTTP requests on an event loop: what S3, and later GCS, stand on. One struct http per store holds
// the connections; a request is one attempt, and whether to try again is its owner's business.
//
// HTTP/1.1 only, certificates are always verified, redirects are never followed. The variables
// http_proxy, HTTPS_PROXY, ALL_PROXY and NO_PROXY count as everywhere, unless a request says
// direct. Bodies over 1 MiB are announced with "Expect: 100-continue", so that a refusal (403, 412,
// 503) comes before the body is sent and is not lost in a reset. (An "Expect:" that removes the
// announcement cannot be used: libcurl's signer would sign it.)
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;
struct http;
struct http_request;

struct http_options {
    const char *ca_file;      /* NULL: the system's bundle; else only this one counts */
    int64_t stall_timeout_ms; /* nothing moved for so long: broken. Whole seconds, rounded
                               * up; libcurl's average needs up to 5 s more to fall */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE };

/* Signs with AWS signature version 4. The headers must hold x-amz-content-sha256, and the URL must
 * be in canonical form: libcurl signs both as they stand. */
struct http_signer {
    const char *scope; /* "aws:amz:REGION:SERVICE" */
    const char *access_key, *secret_key;
};

struct http_answer {
    /* ERR_NONE: an answer came whole, whatever its status. Else why not. */
    struct err err;
    bool broken; /* with err: the connection failed; the same request may well succeed later */
    int status;
    char *body; /* what on_data did not take; terminated; NULL when nothing came */
    size_t body_bytes;
    int64_t content_bytes;  /* Content-Length, -1 without one */
    int64_t retry_after_ms; /* 0 without one */
    char etag[96];          /* these are "" when absent, or too long for any honest server */
    char date[48];
    char last_modified[48];
    char content_range[96];
    char request_id[96];
    char bucket_region[48];
};

/* The body of a 2xx answer as it comes. true: taken whole. false: not now; it comes again, the
 * same or more, after http_resume. answer holds status and headers, no body. Must not start, end
 * or resume requests. */
typedef bool http_data_fn(void *arg, const struct http_answer *answer, const uint8_t *data,
                          size_t len);
/* The end; the request is gone afterwards, the answer is lent (its body may be taken by setting it
 * to NULL). Starting and ending other requests is fine here. */
typedef void http_done_fn(void *arg, struct http_answer *answer);

struct http_ask {
    enum http_method method;
    const char *url;
    const char *const *headers; /* "Name: value", NULL at the end; NULL: none */
    const uint8_t *body;        /* PUT and POST; lent until the end */
    size_t body_bytes;
    const struct http_signer *signer; /* NULL: unsigned */
    size_t answer_max_bytes;          /* a longer body that on_data does not take is an error */
    int64_t connect_timeout_ms;       /* 0: 10 s */
    int64_t total_timeout_ms;         /* 0: none but the stall timeout */
    bool fresh;                       /* on a connection of its own: for another attempt */
    bool direct;                      /* never through a proxy: for link-local services */
    bool patient;                     /* no stall timeout, only total_timeout_ms */
    http_data_fn *on_data;            /* NULL: all bodies go to answer.body */
    http_done_fn *done;
    void *arg;
};

/* loop is lent for the life of http. */
struct http *http_new(struct ev_loop *loop, const struct http_options *options);
/* All requests must be over. NULL is allowed. */
void http_free(struct http *http);

/* Never fails: what is wrong comes through done, which is never called from here. Everything in
 * ask but the body is copied. */
struct http_request *http_start(struct http *http, const struct http_ask *ask);
/* Breaks it off and frees it; done is not called. NULL is allowed. */
void http_cancel(struct http_request *request);
/* After on_data said false. on_data may be called from here. */
void http_resume(struct http_request *request);

/* Turns the loop until *done, which a callback sets. -1: ERR_CANCELLED at the wish to stop (unless
 * despite_cancel), ERR_TIMEOUT after timeout_ms (0: none). What was started goes on. */
int http_run(struct http *http, const bool *done, int64_t timeout_ms, bool despite_cancel,
             struct err *err);
