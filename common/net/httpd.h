// SPDX-License-Identifier: Apache-2.0
// Answers GET and HEAD on an event loop, for health and metrics; nothing else. Bounded: a request
// head of at most 4 KiB, no bodies, 16 connections at once (the oldest idle one goes), 10 s for a
// request to come and an answer to leave. One request a connection. HTTP/1.0 and 1.1 (RFC 9112).
#pragma once

#include "err.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>

#define HTTPD_HEAD_MAX_BYTES 4096

struct ev_loop;
struct httpd;

struct httpd_answer {
    int status;               /* 200; a handler may set 404 (does not know the path), 500 or 503 */
    const char *content_type; /* static; "text/plain; charset=utf-8" */
    struct text body;
};

/* path: decoded, without the query; begins with '/'; valid UTF-8 without control characters. Must
 * not close the httpd. */
typedef void httpd_fn(void *arg, const char *path, struct httpd_answer *answer);

/* address: "0.0.0.0:9464", "[::1]:9464", "127.0.0.1:0" (any free port). ERR_CONFIG for an address
 * that is none, ERR_IO when it cannot be had. loop is lent. */
int httpd_open(struct ev_loop *loop, const char *address, httpd_fn *handler, void *arg,
               struct httpd **httpd, struct err *err);
/* NULL is allowed. */
void httpd_close(struct httpd *httpd);
/* The port it listens on. */
unsigned httpd_port(const struct httpd *httpd);

/* The head of a request (up to and with its empty line): 0 with *path (free it), or the status of
 * the refusal: 400, 405, 414, 431, 505. */
int httpd_parse(const char *head, size_t len, bool *head_only, char **path);
