// SPDX-License-Identifier: Apache-2.0
// Opening an S3 store, its small calls, and the table of its operations. Nothing is sent at open:
// the first call finds out whether the bucket is there.
#include "s3.h"

#include "internal.h"
#include "mem.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static struct s3_store *own(struct store *store)
{
    return (struct s3_store *)store;
}

static const char *find_region(const struct s3_options *options, struct err *err)
{
    if (options->region != NULL && *options->region != '\0')
        return options->region;
    if (options->endpoint != NULL && *options->endpoint != '\0')
        return "us-east-1";
    err_set(err, ERR_CONFIG, "region: is required without an endpoint");
    return NULL;
}

static void close_store(struct store *base)
{
    struct s3_store *store = own(base);

    s3_credentials_free(store->credentials);
    http_free(store->http);
    pool_free(store->parts);
    free(store->bucket);
    free(store->prefix);
    free(store->base);
    free(store->scope);
    free(store);
}

static int open_store(const struct store_options *options, struct ev_loop *loop,
                      struct store **store, struct err *err)
{
    const struct s3_options *s3 = &options->s3;
    struct s3_store *opened = mem_calloc(1, sizeof *opened);
    const char *region = find_region(s3, err);
    bool has_prefix = s3->prefix != NULL && *s3->prefix != '\0';
    int rc = -1;

    opened->loop = loop;
    opened->retry_deadline_ms = s3->retry_deadline_ms;
    opened->http = http_new(loop, &(struct http_options){.ca_file = s3->ca_file,
                                                         .stall_timeout_ms = s3->stall_timeout_ms});
    opened->parts = pool_new(S3_PART_BYTES, S3_PARTS_IN_MEMORY);
    opened->prefix = has_prefix ? text_format("%s/", s3->prefix) : mem_strdup("");
    if (region == NULL || s3_url_base(s3, region, &opened->base, err) < 0 ||
        s3_credentials_new(s3, region, opened->http, &opened->credentials, err) < 0)
        goto out;
    opened->bucket = mem_strdup(s3->bucket);
    opened->scope = text_format("aws:amz:%s:s3", region);
    *store = &opened->store;
    rc = 0;
out:
    if (rc < 0)
        close_store(&opened->store);
    return rc;
}

static int stat_object(struct store *store, const char *key, struct store_entry *entry,
                       struct err *err)
{
    struct s3_ask ask = {
        .operation = "HeadObject", .right = "s3:GetObject", .method = HTTP_HEAD, .key = key};
    struct s3_result result;
    int rc = -1;

    if (s3_run(own(store), &ask, &result, err) < 0)
        goto out;
    time_t modified = curl_getdate(result.http.last_modified, NULL);

    if (result.http.content_bytes < 0 || modified < 0) {
        err_set(err, ERR_STORE, "HeadObject %s: no size or no Last-Modified in the answer", key);
        goto out;
    }
    entry->bytes = (uint64_t)result.http.content_bytes;
    entry->modified_ms = (int64_t)modified * 1000;
    entry->upload = NULL;
    rc = 0;
out:
    s3_result_fini(&result);
    return rc;
}

static int remove_object(struct store *store, const char *key, struct err *err)
{
    struct s3_ask ask = {
        .operation = "DeleteObject", .right = "s3:DeleteObject", .method = HTTP_DELETE, .key = key};
    struct s3_result result;
    int rc = s3_run(own(store), &ask, &result, err);

    if (rc < 0 && strcmp(result.answer.error.code, "NoSuchKey") == 0)
        rc = 0;
    s3_result_fini(&result);
    return rc;
}

/* A list within the prefix: that right is there in any policy that lets backups work. */
static int read_clock(struct store *store, int64_t *wall_ms, struct err *err)
{
    struct s3_ask ask = {
        .operation = "ListObjectsV2",
        .right = "s3:ListBucket",
        .method = HTTP_GET,
        .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", own(store)->prefix}}};
    struct s3_result result;
    int rc = s3_run(own(store), &ask, &result, err);

    if (rc == 0) {
        time_t now = curl_getdate(result.http.date, NULL);

        if (now < 0)
            rc = err_set(err, ERR_STORE, "the store's answer has no Date");
        else
            *wall_ms = (int64_t)now * 1000;
    }
    s3_result_fini(&result);
    return rc;
}

const struct store_ops s3_store = {
    .name = "s3",
    .open = open_store,
    .put = s3_put,
    .get = s3_get,
    .stat = stat_object,
    .list = s3_list,
    .list_uploads = s3_list_uploads,
    .abort_upload = s3_abort_upload,
    .remove = remove_object,
    .clock = read_clock,
    .close = close_store,
};
