// SPDX-License-Identifier: Apache-2.0
// Listing objects and unfinished uploads, page by page. A page is gathered, parsed into entries and
// only then given out, because whether its keys are encoded stands anywhere in it. The store is not
// believed: keys outside of the prefix are refused, and each page must lead on, so that listing
// ends.
#include "internal.h"

#include "clock.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define EMPTY_PAGES_MAX 100
#define PAGES_MAX       100000

/* --- one page --- */

static struct s3_item *current(struct s3_page *page)
{
    if (page->count == page->cap) {
        size_t cap = page->cap == 0 ? 64 : 2 * page->cap;

        page->items = mem_realloc(page->items, cap * sizeof *page->items);
        memset(page->items + page->cap, 0, (cap - page->cap) * sizeof *page->items);
        page->cap = cap;
    }
    return &page->items[page->count];
}

static void set_text(char **where, const char *text)
{
    free(*where);
    *where = mem_strdup(text);
}

/* "2026-11-23T07:15:00.123Z" with any number of digits after the point, or none. */
static int read_moment(const char *text, int64_t *wall_ms, struct err *err)
{
    char plain[CLOCK_TEXT_CAP] = "";
    size_t len = strcspn(text, ".Z");

    if (len < sizeof plain - 1) {
        memcpy(plain, text, len);
        plain[len] = 'Z';
    }
    if (clock_parse(plain, wall_ms) < 0)
        return err_set(err, ERR_STORE, "\"%.40s\" is no moment", text);
    return 0;
}

static int end_item(struct s3_page *page, bool is_upload, struct err *err)
{
    struct s3_item *item = current(page);

    if (item->key == NULL || *item->key == '\0' || (is_upload && item->upload == NULL))
        return err_set(err, ERR_STORE, "an entry without a key");
    page->count++;
    return 0;
}

static int each_of_object(struct s3_page *page, const char *name, const char *text, struct err *err)
{
    if (strcmp(name, "") == 0)
        return end_item(page, false, err);
    if (strcmp(name, "/Key") == 0)
        set_text(&current(page)->key, text);
    else if (strcmp(name, "/Size") == 0 && text_parse_u64(text, &current(page)->bytes) < 0)
        return err_set(err, ERR_STORE, "\"%.40s\" is no size", text);
    else if (strcmp(name, "/LastModified") == 0)
        return read_moment(text, &current(page)->modified_ms, err);
    return 0;
}

static int each_of_upload(struct s3_page *page, const char *name, const char *text, struct err *err)
{
    if (strcmp(name, "") == 0)
        return end_item(page, true, err);
    if (strcmp(name, "/Key") == 0)
        set_text(&current(page)->key, text);
    else if (strcmp(name, "/UploadId") == 0)
        set_text(&current(page)->upload, text);
    else if (strcmp(name, "/Initiated") == 0)
        return read_moment(text, &current(page)->modified_ms, err);
    return 0;
}

static int each_of_page(void *arg, const char *path, const char *text, struct err *err)
{
    static const char objects[] = "ListBucketResult/Contents";
    static const char uploads[] = "ListMultipartUploadsResult/Upload";
    struct s3_page *page = arg;

    /* "Upload" is also how "UploadIdMarker" begins: what follows must be a child, or nothing. */
    if (text_starts_with(path, objects) && strchr("/", path[sizeof objects - 1]) != NULL)
        return each_of_object(page, path + sizeof objects - 1, text, err);
    if (text_starts_with(path, uploads) && strchr("/", path[sizeof uploads - 1]) != NULL)
        return each_of_upload(page, path + sizeof uploads - 1, text, err);
    if (!text_starts_with(path, "ListBucketResult") &&
        !text_starts_with(path, "ListMultipartUploadsResult"))
        return err_set(err, ERR_STORE, "<%.60s> instead of a list", path);
    const char *name = strchr(path, '/');

    if (name == NULL)
        return 0;
    if (strcmp(name, "/IsTruncated") == 0)
        page->truncated = strcmp(text, "true") == 0;
    else if (strcmp(name, "/EncodingType") == 0)
        page->encoded = strcmp(text, "url") == 0;
    else if (strcmp(name, "/NextContinuationToken") == 0)
        set_text(&page->token, text);
    else if (strcmp(name, "/NextKeyMarker") == 0)
        set_text(&page->key_marker, text);
    else if (strcmp(name, "/NextUploadIdMarker") == 0)
        set_text(&page->upload_id_marker, text);
    return 0;
}

static int decode(char **text, struct err *err)
{
    char *raw = NULL;

    if (*text == NULL)
        return 0;
    if (s3_url_decode(*text, &raw) < 0)
        return err_set(err, ERR_STORE, "the key \"%.100s\" is not encoded as it should be", *text);
    free(*text);
    *text = raw;
    return 0;
}

int s3_page_read(const char *data, size_t len, struct s3_page *page, struct err *err)
{
    if (s3_xml_read(data, len, each_of_page, page, err) < 0)
        return -1;
    for (size_t i = 0; page->encoded && i < page->count; i++)
        if (decode(&page->items[i].key, err) < 0)
            return -1;
    return page->encoded ? decode(&page->key_marker, err) : 0;
}

void s3_page_fini(struct s3_page *page)
{
    /* One more than count may have been begun. */
    for (size_t i = 0; i < page->cap; i++) {
        free(page->items[i].key);
        free(page->items[i].upload);
    }
    free(page->items);
    free(page->token);
    free(page->key_marker);
    free(page->upload_id_marker);
    *page = (struct s3_page){.items = NULL};
}

/* --- all pages --- */

struct listing {
    struct s3_store *store;
    char *prefix; /* with the store's */
    store_each_fn *each;
    void *arg;
    char *last_key;
    unsigned empty_pages, pages;
};

/* Objects come in strictly rising order; uploads of one key follow each other in any order. */
static int check_item(struct listing *listing, const struct s3_item *item, struct err *err)
{
    int order = listing->last_key == NULL ? -1 : strcmp(listing->last_key, item->key);

    if (!text_starts_with(item->key, listing->prefix))
        return err_set(err, ERR_STORE, "the key \"%.200s\" was not asked for", item->key);
    if (strlen(item->key) > S3_KEY_MAX_BYTES)
        return err_set(err, ERR_STORE, "the key \"%.200s...\" is too long", item->key);
    if (order > 0 || (order == 0 && item->upload == NULL))
        return err_set(err, ERR_STORE, "the key \"%.200s\" is out of order", item->key);
    set_text(&listing->last_key, item->key);
    return 0;
}

static int give_page(struct listing *listing, const struct s3_page *page, struct err *err)
{
    size_t skip = strlen(listing->store->prefix);

    for (size_t i = 0; i < page->count; i++) {
        const struct s3_item *item = &page->items[i];

        if (check_item(listing, item, err) < 0 ||
            listing->each(listing->arg,
                          &(struct store_entry){.key = item->key + skip,
                                                .bytes = item->bytes,
                                                .modified_ms = item->modified_ms,
                                                .upload = item->upload},
                          err) < 0)
            return -1;
    }
    listing->empty_pages = page->count == 0 ? listing->empty_pages + 1 : 0;
    if (page->truncated && (listing->empty_pages > EMPTY_PAGES_MAX || ++listing->pages > PAGES_MAX))
        return err_set(err, ERR_STORE, "the list does not end");
    return 0;
}

/* One request; page is zeroed and stays the caller's. */
static int fetch_page(struct listing *listing, struct s3_ask *ask, struct s3_page *page,
                      struct err *err)
{
    struct s3_result result;
    int rc = s3_run(listing->store, ask, &result, err);

    if (rc == 0)
        rc = s3_page_read(result.http.body == NULL ? "" : result.http.body, result.http.body_bytes,
                          page, err);
    s3_result_fini(&result);
    return rc;
}

static void listing_init(struct listing *listing, struct store *store, const char *prefix,
                         store_each_fn *each, void *arg)
{
    *listing = (struct listing){.store = (struct s3_store *)store, .each = each, .arg = arg};
    listing->prefix = text_format("%s%s", listing->store->prefix, prefix);
}

static void listing_fini(struct listing *listing)
{
    free(listing->prefix);
    free(listing->last_key);
}

int s3_list(struct store *store, const char *prefix, store_each_fn *each, void *arg,
            struct err *err)
{
    struct listing listing;
    struct s3_page page = {.items = NULL};
    char *token = NULL;
    int rc = -1;

    listing_init(&listing, store, prefix, each, arg);
    do {
        struct s3_ask ask = {.operation = "ListObjectsV2",
                             .right = "s3:ListBucket",
                             .method = HTTP_GET,
                             .query = {{"list-type", "2"},
                                       {"encoding-type", "url"},
                                       {"max-keys", "1000"},
                                       {"prefix", listing.prefix},
                                       {token == NULL ? NULL : "continuation-token", token}},
                             .answer_max_bytes = S3_PAGE_MAX_BYTES};

        s3_page_fini(&page);
        if (fetch_page(&listing, &ask, &page, err) < 0 || give_page(&listing, &page, err) < 0)
            goto out;
        free(token);
        token = page.token;
        page.token = NULL;
        if (page.truncated && token == NULL) {
            err_set(err, ERR_STORE, "the list goes on, but not where");
            goto out;
        }
    } while (page.truncated);
    rc = 0;
out:
    if (rc < 0)
        err_wrap(err, "list s3://%s/%s", listing.store->bucket, listing.prefix);
    free(token);
    s3_page_fini(&page);
    listing_fini(&listing);
    return rc;
}

int s3_list_uploads(struct store *store, const char *prefix, store_each_fn *each, void *arg,
                    struct err *err)
{
    struct listing listing;
    struct s3_page page = {.items = NULL};
    char *key = NULL, *upload = NULL;
    int rc = -1;

    listing_init(&listing, store, prefix, each, arg);
    do {
        struct s3_ask ask = {.operation = "ListMultipartUploads",
                             .right = "s3:ListBucketMultipartUploads",
                             .method = HTTP_GET,
                             .query = {{"uploads", ""},
                                       {"encoding-type", "url"},
                                       {"max-uploads", "1000"},
                                       {"prefix", listing.prefix},
                                       {key == NULL ? NULL : "key-marker", key},
                                       {upload == NULL ? NULL : "upload-id-marker", upload}},
                             .answer_max_bytes = S3_PAGE_MAX_BYTES};

        s3_page_fini(&page);
        if (fetch_page(&listing, &ask, &page, err) < 0 || give_page(&listing, &page, err) < 0)
            goto out;
        free(key);
        free(upload);
        key = page.key_marker;
        upload = page.upload_id_marker;
        page.key_marker = page.upload_id_marker = NULL;
        if (page.truncated && key == NULL) {
            err_set(err, ERR_STORE, "the list goes on, but not where");
            goto out;
        }
    } while (page.truncated);
    rc = 0;
out:
    if (rc < 0)
        err_wrap(err, "list uploads in s3://%s/%s", listing.store->bucket, listing.prefix);
    free(key);
    free(upload);
    s3_page_fini(&page);
    listing_fini(&listing);
    return rc;
}

int s3_abort_upload(struct store *store, const char *key, const char *upload, struct err *err)
{
    struct s3_ask ask = {.operation = "AbortMultipartUpload",
                         .right = "s3:AbortMultipartUpload",
                         .method = HTTP_DELETE,
                         .key = key,
                         .query = {{"uploadId", upload}}};
    struct s3_result result;
    int rc = s3_run((struct s3_store *)store, &ask, &result, err);

    if (rc < 0 && strcmp(result.answer.error.code, "NoSuchUpload") == 0)
        rc = 0;
    s3_result_fini(&result);
    return rc;
}
