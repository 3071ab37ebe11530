// SPDX-License-Identifier: Apache-2.0
// Listing: the tree below the root as sorted keys. Symbolic links are neither followed nor shown:
// a store holds what lifeboat wrote, and that is plain files.
#include "internal.h"

#include "mem.h"
#include "text.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct found {
    char *key;
    char *upload; /* the tail of a part's name, else NULL */
    uint64_t bytes;
    int64_t modified_ms;
};

struct findings {
    struct found *items;
    size_t count;
};

/* Where in a file name the mark of a part stands, or NULL. */
static char *part_mark(char *name)
{
    size_t len = strlen(name);
    size_t tail = strlen(LOCAL_PART_MARK) + LOCAL_PART_TAIL;
    char *at;

    if (len <= tail)
        return NULL;
    at = name + len - tail;
    if (strncmp(at, LOCAL_PART_MARK, strlen(LOCAL_PART_MARK)) != 0)
        return NULL;
    return strspn(at + strlen(LOCAL_PART_MARK), "0123456789abcdef") == LOCAL_PART_TAIL ? at : NULL;
}

static void add(struct findings *findings, const char *key, const struct stat *info, bool parts)
{
    struct found found = {
        .key = mem_strdup(key),
        .bytes = (uint64_t)info->st_size,
        .modified_ms = (int64_t)info->st_mtim.tv_sec * 1000 + info->st_mtim.tv_nsec / 1000000,
    };
    char *mark = part_mark(found.key);

    if ((mark != NULL) != parts) {
        free(found.key);
        return;
    }
    if (mark != NULL) {
        found.upload = mem_strdup(mark + strlen(LOCAL_PART_MARK));
        *mark = '\0';
    }
    findings->items = mem_realloc(findings->items, (findings->count + 1) * sizeof *findings->items);
    findings->items[findings->count++] = found;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->key, ((const struct found *)b)->key);
}

static int gather(const char *root, const char *prefix, bool parts, struct findings *findings,
                  struct err *err)
{
    int rc = -1;
    const char *slash = strrchr(prefix, '/');
    char *top = text_format("%s/%.*s", root, slash == NULL ? 0 : (int)(slash - prefix), prefix);
    FTS *walk = fts_open((char *[]){top, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

    if (walk == NULL) {
        err_set_errno(err, errno, "list %s", top);
        goto out;
    }
    for (FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        const char *key = entry->fts_path + strlen(root) + 1;

        if (entry->fts_info == FTS_F && text_starts_with(key, prefix))
            add(findings, key, entry->fts_statp, parts);
        /* What vanishes while one looks, a prune beside this took: no error. */
        if ((entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR ||
             entry->fts_info == FTS_NS) &&
            entry->fts_errno != ENOENT && entry->fts_errno != ENOTDIR) {
            err_set_errno(err, entry->fts_errno, "list %s", entry->fts_path);
            goto out;
        }
    }
    if (errno != 0) {
        err_set_errno(err, errno, "list %s", top);
        goto out;
    }
    rc = 0;
out:
    if (walk != NULL)
        fts_close(walk);
    free(top);
    return rc;
}

int local_walk(struct store *store, const char *prefix, bool parts, store_each_fn *each, void *arg,
               struct err *err)
{
    const struct local_store *local = (struct local_store *)store;
    struct findings findings = {.items = NULL, .count = 0};
    int rc = gather(local->root, prefix, parts, &findings, err);

    if (rc == 0 && findings.count > 0)
        qsort(findings.items, findings.count, sizeof *findings.items, by_key);
    for (size_t i = 0; rc == 0 && i < findings.count; i++) {
        const struct store_entry entry = {
            .key = findings.items[i].key,
            .bytes = findings.items[i].bytes,
            .modified_ms = findings.items[i].modified_ms,
            .upload = findings.items[i].upload,
        };

        rc = each(arg, &entry, err);
    }
    for (size_t i = 0; i < findings.count; i++) {
        free(findings.items[i].key);
        free(findings.items[i].upload);
    }
    free(findings.items);
    return rc;
}
