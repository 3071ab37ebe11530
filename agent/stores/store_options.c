// SPDX-License-Identifier: Apache-2.0
// The rows of each type of store, and the form of what they hold.
#include "store_options.h"

#include "text.h"

#include <string.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

#define HOUR_MS (UINT64_C(3600) * 1000)

const char *const store_type_names[] = {[STORE_LOCAL] = "local", [STORE_S3] = "s3", NULL};

static const char *const types_not_yet[] = {"gcs", NULL};

/* As Amazon S3 demands of new buckets, whoever serves them. */
static int check_bucket(const char *value, struct err *err)
{
    size_t len = strlen(value);

    if (len < 3 || len > 63 || strspn(value, LOWER DIGITS ".-") != len ||
        strchr(".-", value[0]) != NULL || strchr(".-", value[len - 1]) != NULL ||
        strstr(value, "..") != NULL || strspn(value, DIGITS ".") == len)
        return err_set(err, ERR_CONFIG,
                       "is not a bucket's name; use 3 to 63 lower-case letters, digits, '-' and "
                       "'.', with a letter or digit at both ends");
    return 0;
}

static int check_prefix(const char *value, struct err *err)
{
    size_t len = strlen(value);

    if (len > 512)
        return err_set(err, ERR_CONFIG, "is too long; use at most 512 bytes");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return err_set(err, ERR_CONFIG, "holds a control character; use printable text");
    for (const char *at = value;; at++) {
        size_t part = strcspn(at, "/");

        if (part == 0)
            return err_set(err, ERR_CONFIG,
                           "has a slash too many; write it like prod or prod/eu, without a slash "
                           "at either end");
        if ((part == 1 && at[0] == '.') || (part == 2 && at[0] == '.' && at[1] == '.'))
            return err_set(err, ERR_CONFIG, "goes through . or ..; write it like prod/eu");
        at += part;
        if (*at == '\0')
            return 0;
    }
}

static int check_region(const char *value, struct err *err)
{
    size_t len = strlen(value);

    if (len > 63 || strspn(value, LOWER UPPER DIGITS "-_") != len)
        return err_set(err, ERR_CONFIG, "is not a region; write it like eu-west-1");
    return 0;
}

static const char *skip_host(const char *at)
{
    size_t len;

    if (*at != '[')
        return at + strspn(at, LOWER UPPER DIGITS ".-_");
    len = strspn(at + 1, DIGITS "abcdefABCDEF:.");
    return len > 0 && at[1 + len] == ']' ? at + len + 2 : at;
}

static int check_endpoint(const char *value, struct err *err)
{
    size_t scheme_len = text_starts_with(value, "https://")  ? 8
                        : text_starts_with(value, "http://") ? 7
                                                             : 0;
    const char *host = value + scheme_len;
    const char *end = scheme_len == 0 ? host : skip_host(host); /* host: there is none */
    uint64_t port = 443;

    if (strchr(value, '@') != NULL)
        return err_set(err, ERR_CONFIG,
                       "holds a user or password; put them in access_key and secret_key");
    if (end > host && *end == ':' &&
        (text_parse_u64(end + 1, &port) < 0 || port < 1 || port > 65535))
        return err_set(err, ERR_CONFIG, "has no good port; use 1 to 65535");
    if (end == host || (*end != '\0' && *end != ':'))
        return err_set(err, ERR_CONFIG,
                       "is not an endpoint; write it like https://s3.example.com:9000, without a "
                       "path");
    return 0;
}

const struct option store_option_rows[] = {
    {.key = "name",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct store_options, name),
     .check = option_check_name,
     .help = "What components and --store call it; unique."},
    {.key = "type",
     .type = OPT_CHOICE,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct store_options, type),
     .choices = store_type_names,
     .not_yet = types_not_yet,
     .help = "What kind of store it is; the other keys depend on it."},
    OPTION_END,
};

static const struct option local_rows[] = {
    {.key = "path",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct store_options, local.path),
     .check = option_check_absolute,
     .help = "The folder to keep backups in; absolute. It is made when it is not there."},
    OPTION_END,
};

static const struct option s3_rows[] = {
    {.key = "bucket",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct store_options, s3.bucket),
     .check = check_bucket,
     .help = "The bucket; it must be there."},
    {.key = "prefix",
     .type = OPT_TEXT,
     .flags = OPT_MAY_EMPTY,
     .offset = offsetof(struct store_options, s3.prefix),
     .def = "",
     .check = check_prefix,
     .help = "Stands before every key, as in `prod` or `prod/eu`."},
    {.key = "region",
     .type = OPT_TEXT,
     .flags = OPT_MAY_EMPTY,
     .offset = offsetof(struct store_options, s3.region),
     .check = check_region,
     .help = "The bucket's region. Required without endpoint; with one the default is "
             "`us-east-1`."},
    {.key = "endpoint",
     .type = OPT_TEXT,
     .flags = OPT_MAY_EMPTY,
     .offset = offsetof(struct store_options, s3.endpoint),
     .check = check_endpoint,
     .help = "Address of a server that speaks S3: `http[s]://HOST[:PORT]`. Without it, Amazon's "
             "for the region."},
    {.key = "path_style",
     .type = OPT_BOOL,
     .offset = offsetof(struct store_options, s3.path_style),
     .def = "false",
     .help = "Put the bucket into the path and not before the host; most servers other than "
             "Amazon's want it."},
    {.key = "access_key",
     .type = OPT_TEXT,
     .offset = offsetof(struct store_options, s3.access_key),
     .help = "Access key id. Without it: AWS_ACCESS_KEY_ID and the other usual places."},
    {.key = "secret_key",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     .offset = offsetof(struct store_options, s3.secret_key),
     .help = "The secret of access_key."},
    {.key = "session_token",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     .offset = offsetof(struct store_options, s3.session_token),
     .help = "The token that temporary keys come with."},
    {.key = "ca_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct store_options, s3.ca_file),
     .check = option_check_absolute,
     .help = "Certificates to trust, in PEM; absolute. Without it, the system's."},
    {.key = "retry_deadline",
     .type = OPT_DURATION,
     .offset = offsetof(struct store_options, s3.retry_deadline_ms),
     .def = "5m",
     .min = 1000,
     .max = 24 * HOUR_MS,
     .help = "How long one request is repeated when the store is busy or out of reach."},
    {.key = "stall_timeout",
     .type = OPT_DURATION,
     .offset = offsetof(struct store_options, s3.stall_timeout_ms),
     .def = "60s",
     .min = 1000,
     .max = HOUR_MS,
     .help = "A request that moves nothing for so long is given up and repeated."},
    OPTION_END,
};

const struct option *store_type_rows(int type)
{
    static const struct option *const rows[] = {[STORE_LOCAL] = local_rows, [STORE_S3] = s3_rows};

    return rows[type];
}
