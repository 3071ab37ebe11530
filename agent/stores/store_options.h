// SPDX-License-Identifier: Apache-2.0
// What can be configured of a store. One row table per type; `type` picks the table.
#pragma once

#include "option.h"

enum store_type { STORE_LOCAL, STORE_S3 };

struct local_options {
    char *path;
};

struct s3_options {
    char *bucket;
    char *prefix; /* "" or "a/b": before every key; no slash at either end */
    char *region;
    char *endpoint; /* "http[s]://host[:port]"; NULL: AWS's own for the region */
    bool path_style;
    char *access_key;          /* NULL: AWS_ACCESS_KEY_ID and so on */
    char *secret_key;          /* secret */
    char *session_token;       /* secret */
    char *ca_file;             /* NULL: the system's bundle */
    int64_t retry_deadline_ms; /* how long one request may be retried */
    int64_t stall_timeout_ms;  /* a transfer that moves nothing for so long is given up */
};

struct store_options {
    char *name;
    int type; /* enum store_type */
    union {
        struct local_options local;
        struct s3_options s3;
    };
};

extern const char *const store_type_names[];    /* NULL at the end */
extern const struct option store_option_rows[]; /* name and type */
/* The rows of one type; their offsets count from struct store_options. */
const struct option *store_type_rows(int type);
