// SPDX-License-Identifier: Apache-2.0
// Every URL of the S3 store is made here. libcurl 7.88 signs path and query as they stand, and the
// store signs what it decodes and encodes again; the two agree only on the canonical form of the
// specification: every byte but the unreserved ones as %XX in upper case, query names sorted, each
// with its "=".
#include "internal.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

void s3_url_encode(struct text *out, const char *raw, bool keep_slash)
{
    for (const unsigned char *at = (const unsigned char *)raw; *at != '\0'; at++) {
        if (strchr(UNRESERVED, *at) != NULL || (keep_slash && *at == '/'))
            text_add_char(out, (char)*at);
        else
            text_add(out, "%%%02X", *at);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int s3_url_decode(const char *encoded, char **raw)
{
    char *out = mem_calloc(strlen(encoded) + 1, 1);
    size_t len = 0;

    for (const char *at = encoded; *at != '\0'; at++) {
        if (*at != '%') {
            out[len++] = *at == '+' ? ' ' : *at;
            continue;
        }
        int high = hex_value(at[1]);
        int low = high < 0 ? -1 : hex_value(at[2]);

        if (low < 0 || high + low == 0) {
            free(out);
            return -1;
        }
        out[len++] = (char)(high * 16 + low);
        at += 2;
    }
    *raw = out;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct s3_pair *)a)->name, ((const struct s3_pair *)b)->name);
}

char *s3_url(const char *base, const char *key, const struct s3_pair *query, size_t count)
{
    struct text url = TEXT_INIT;
    struct s3_pair *sorted = mem_calloc(count + 1, sizeof *sorted);
    size_t used = 0;

    while (used < count && query[used].name != NULL) {
        sorted[used] = query[used];
        used++;
    }
    qsort(sorted, used, sizeof *sorted, by_name);
    text_add(&url, "%s/", base);
    if (key != NULL)
        s3_url_encode(&url, key, true);
    for (size_t i = 0; i < used; i++) {
        text_add_char(&url, i == 0 ? '?' : '&');
        s3_url_encode(&url, sorted[i].name, false);
        text_add_char(&url, '=');
        s3_url_encode(&url, sorted[i].value, false);
    }
    free(sorted);
    return text_take(&url);
}

int s3_url_base(const struct s3_options *options, const char *region, char **base, struct err *err)
{
    const char *bucket = options->bucket;
    bool is_aws = options->endpoint == NULL || *options->endpoint == '\0';
    char *endpoint = is_aws ? text_format("https://s3.%s.amazonaws.com%s", region,
                                          text_starts_with(region, "cn-") ? ".cn" : "")
                            : mem_strdup(options->endpoint);
    int scheme_len = text_starts_with(endpoint, "https://") ? 8 : 7;
    int rc = -1;

    if (!options->path_style && scheme_len == 8 && strchr(bucket, '.') != NULL)
        err_set(err, ERR_CONFIG,
                "bucket: no certificate fits %s before a host name; set path_style: true", bucket);
    else
        rc = 0;
    if (rc == 0)
        *base = options->path_style
                    ? text_format("%s/%s", endpoint, bucket)
                    : text_format("%.*s%s.%s", scheme_len, endpoint, bucket, endpoint + scheme_len);
    free(endpoint);
    return rc;
}
