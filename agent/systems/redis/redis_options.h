// SPDX-License-Identifier: Apache-2.0
// What can be configured of a Redis (or Valkey) component. The rows stand apart from the rest of
// the system so that a configuration can be checked without linking hiredis.
#pragma once

#include "option.h"

enum redis_method { REDIS_REPLICATION, REDIS_BGSAVE };

struct redis_options {
    char *url;
    char *user;     /* NULL: the default user */
    char *password; /* secret; NULL: no AUTH is sent */
    char *ca_file;  /* NULL: the system's authorities */
    char *cert_file, *key_file;
    int method;     /* enum redis_method */
    char *rdb_path; /* only and always with REDIS_BGSAVE */
    int64_t timeout_ms;
    char *server; /* for drills; NULL: of PATH */
};

extern const struct option redis_option_rows[];

/* What the url says; host and port, or path. */
struct redis_address {
    enum { REDIS_TCP, REDIS_TLS, REDIS_UNIX } kind;
    char host[256], port[6];
    char path[108]; /* as long as a socket's address may be */
};

/* The error is the second half of a sentence, as an option's check wants it. */
int redis_address_parse(const char *url, struct redis_address *address, struct err *err);

/* The rules between the rows, after they were read from node. */
int redis_options_check(const struct option_node *node, const struct redis_options *options,
                        struct err *err);
