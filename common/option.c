// SPDX-License-Identifier: Apache-2.0
// Reading a mapping by rows. Errors are composed here and nowhere else, so that they all read
// alike: FILE:LINE: KEY: what is wrong; what would be right. A value from a secret row is never
// quoted.
#include "option_node.h"

#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SECRET_BYTES ((size_t)64 << 10)

const char *const option_any_key[] = {NULL};

int option_check_name(const char *value, struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(value);

    if (len == 0 || len > 63 || strspn(value, allowed) != len || strcmp(value, ".") == 0 ||
        strcmp(value, "..") == 0)
        return err_set(err, ERR_CONFIG,
                       "is not a name; use 1 to 63 letters, digits, '.', '_' and '-'");
    return 0;
}

int option_check_absolute(const char *value, struct err *err)
{
    if (*value != '/')
        return err_set(err, ERR_CONFIG, "is not an absolute path; begin it with /");
    return 0;
}

/* Where a value comes from, for errors, and where it goes. */
struct slot {
    const struct option_node *node; /* the mapping */
    const struct option *row;
    void *base;
    struct err *err;
};

static void *target(const struct slot *slot)
{
    return (char *)slot->base + slot->row->offset;
}

#define fail(slot, kind, ...)                                                                      \
    option_node_fail((slot)->node, (slot)->row->key, (slot)->err, kind, __VA_ARGS__)

static char *file_key(const struct option *row)
{
    return text_format("%s_file", row->key);
}

/* The nearest of the names by single edits; NULL when none is near. */
struct nearest {
    const char *to;
    const char *name;
    size_t distance;
};

static void consider(struct nearest *nearest, const char *name)
{
    size_t distance = text_distance(nearest->to, name);
    size_t len = strlen(name) < strlen(nearest->to) ? strlen(name) : strlen(nearest->to);

    if (distance <= 1 + len / 4 && distance < nearest->distance) {
        nearest->name = name;
        nearest->distance = distance;
    }
}

const char *option_nearest(const char *to, const char *const *names)
{
    struct nearest nearest = {.to = to, .distance = SIZE_MAX};

    for (; *names != NULL; names++)
        consider(&nearest, *names);
    return nearest.name;
}

static bool is_key(const struct option *rows, const char *const *also, const char *key)
{
    for (const struct option *row = rows; row->key != NULL; row++) {
        size_t len = strlen(row->key);

        if (strcmp(row->key, key) == 0)
            return true;
        if ((row->flags & OPT_SECRET) != 0 && strncmp(row->key, key, len) == 0 &&
            strcmp(key + len, "_file") == 0)
            return true;
    }
    for (; also != NULL && *also != NULL; also++)
        if (strcmp(*also, key) == 0)
            return true;
    return false;
}

static void add_known(struct text *known, struct nearest *nearest, const char *key)
{
    text_add(known, "%s%s", known->len > 0 ? ", " : "", key);
    consider(nearest, key);
}

static int unknown_key(const struct option_node *node, const struct option *rows,
                       const char *const *also, const char *key, struct err *err)
{
    struct nearest nearest = {.to = key, .distance = SIZE_MAX};
    struct text known = TEXT_INIT;

    for (const struct option *row = rows; row->key != NULL; row++)
        if (row->type == OPT_NOT_YET)
            consider(&nearest, row->key);
        else if ((row->flags & OPT_HIDDEN) == 0)
            add_known(&known, &nearest, row->key);
    for (; also != NULL && *also != NULL; also++)
        add_known(&known, &nearest, *also);
    if (nearest.name != NULL)
        option_node_fail(node, key, err, ERR_CONFIG, "unknown key; did you mean %s?", nearest.name);
    else
        option_node_fail(node, key, err, ERR_CONFIG, "unknown key; known here: %s",
                         text_str(&known));
    text_fini(&known);
    return -1;
}

static int check_keys(const struct option_node *node, const struct option *rows,
                      const char *const *also, struct err *err)
{
    for (size_t i = 0; i < option_node_count(node); i++) {
        const char *key = option_node_key(option_node_item(node, i));

        if (!is_key(rows, also, key))
            return unknown_key(node, rows, also, key, err);
    }
    return 0;
}

static void add_names(struct text *list, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        text_add(list, "%s%s", i == 0 ? "" : names[i + 1] == NULL ? " or " : ", ", names[i]);
}

static int set_choice(const struct slot *slot, const char *value)
{
    char quote[OPTION_QUOTE_CAP];
    struct text list = TEXT_INIT;
    enum err_kind kind = ERR_CONFIG;

    for (int i = 0; slot->row->choices[i] != NULL; i++) {
        if (strcmp(slot->row->choices[i], value) == 0) {
            *(int *)target(slot) = i;
            return 0;
        }
    }
    for (const char *const *name = slot->row->not_yet; name != NULL && *name != NULL; name++)
        if (strcmp(*name, value) == 0)
            kind = ERR_NOT_YET;
    add_names(&list, slot->row->choices);
    fail(slot, kind, "%s is %s; use %s", option_quote(value, quote),
         kind == ERR_NOT_YET ? "not in this version yet" : "not known", text_str(&list));
    text_fini(&list);
    return -1;
}

static int check_range(const struct slot *slot, const char *value, uint64_t number)
{
    char quote[OPTION_QUOTE_CAP];
    char least[32];
    char most[32];

    if (slot->row->max == 0 || (number >= slot->row->min && number <= slot->row->max))
        return 0;
    return fail(slot, ERR_CONFIG, "%s is out of range; use %s to %s", option_quote(value, quote),
                option_show_bound(slot->row->type, slot->row->min, least),
                option_show_bound(slot->row->type, slot->row->max, most));
}

static int set_number(const struct slot *slot, const char *value)
{
    static const char *const wrong[] = {
        [OPT_NUMBER] = "is not a whole number",
        [OPT_SIZE] = "is not a size; write it like 512KiB, 8MiB or 20GiB",
        [OPT_DURATION] = "is not a duration; write it like 90s, 15m, 12h or 30d",
    };
    char quote[OPTION_QUOTE_CAP];
    uint64_t number = 0;
    int64_t ms = 0;
    int rc;

    if (slot->row->type == OPT_DURATION)
        rc = text_parse_duration(value, &ms);
    else
        rc = slot->row->type == OPT_SIZE ? text_parse_size(value, &number)
                                         : text_parse_u64(value, &number);
    if (rc < 0)
        return fail(slot, ERR_CONFIG, "%s %s", option_quote(value, quote), wrong[slot->row->type]);
    if (check_range(slot, value, slot->row->type == OPT_DURATION ? (uint64_t)ms : number) < 0)
        return -1;
    if (slot->row->type == OPT_DURATION)
        *(int64_t *)target(slot) = ms;
    else
        *(uint64_t *)target(slot) = number;
    return 0;
}

static int set_bool(const struct slot *slot, const char *value)
{
    char quote[OPTION_QUOTE_CAP];

    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return fail(slot, ERR_CONFIG, "%s is neither true nor false", option_quote(value, quote));
    *(bool *)target(slot) = strcmp(value, "true") == 0;
    return 0;
}

/* where: the node and key that an error names, which may be an item of a list. */
static int check_text(const struct slot *slot, const struct option_node *where, const char *key,
                      const char *value)
{
    char quote[OPTION_QUOTE_CAP];
    struct err why = ERR_INIT;
    bool secret = (slot->row->flags & OPT_SECRET) != 0;

    if (secret)
        (slot->row->hide == NULL ? log_hide : slot->row->hide)(value);
    if (*value == '\0' && (slot->row->flags & OPT_MAY_EMPTY) != 0)
        return 0;
    if (*value == '\0')
        return option_node_fail(where, key, slot->err, ERR_CONFIG,
                                "is empty; give a value, or remove the key");
    if (slot->row->check == NULL || slot->row->check(value, &why) == 0)
        return 0;
    return option_node_fail(where, key, slot->err, why.kind, "%s %s",
                            secret ? "the value" : option_quote(value, quote), why.text);
}

static int set_text(const struct slot *slot, const char *value)
{
    if (check_text(slot, slot->node, slot->row->key, value) < 0)
        return -1;
    *(char **)target(slot) = mem_strdup(value);
    return 0;
}

static int set_value(const struct slot *slot, const char *value)
{
    switch (slot->row->type) {
    case OPT_TEXT:
        return set_text(slot, value);
    case OPT_BOOL:
        return set_bool(slot, value);
    case OPT_CHOICE:
        return set_choice(slot, value);
    default:
        return set_number(slot, value);
    }
}

static int read_list(const struct slot *slot, const struct option_node *child)
{
    struct option_list *list = target(slot);

    if (option_node_kind(child) != OPTION_LIST)
        return fail(slot, ERR_CONFIG, "must be a list; write [ITEM, ITEM]");
    if (option_node_count(child) == 0 && (slot->row->flags & OPT_REQUIRED) != 0)
        return fail(slot, ERR_CONFIG, "is an empty list; give at least one item");
    list->items = mem_calloc(option_node_count(child) + 1, sizeof *list->items);
    for (size_t i = 0; i < option_node_count(child); i++) {
        const struct option_node *item = option_node_item(child, i);

        if (option_node_text(item, "write the value here", &list->items[i], slot->err) < 0)
            return -1;
        list->count++;
        if (check_text(slot, item, NULL, list->items[i]) < 0)
            return -1;
    }
    return 0;
}

/* The value is the content of the file that KEY_file names. */
static int read_from_file(const struct slot *slot, const struct option_node *child,
                          const char *path)
{
    struct err why = ERR_INIT;
    char quote[OPTION_QUOTE_CAP];
    char *value = NULL;
    size_t len = 0;
    int rc = -1;

    if (*path != '/')
        return option_node_fail(child, NULL, slot->err, ERR_CONFIG,
                                "%s is not an absolute path; begin it with /",
                                option_quote(path, quote));
    if (file_read(path, MAX_SECRET_BYTES, &value, &len, &why) < 0)
        return option_node_fail(child, NULL, slot->err, ERR_CONFIG,
                                "%s; mount the secret there, or correct the path", why.text);
    if (len > 0 && value[len - 1] == '\n')
        value[--len] = '\0';
    if (strlen(value) != len)
        option_node_fail(child, NULL, slot->err, ERR_CONFIG,
                         "%s holds a NUL character; it must be text", option_quote(path, quote));
    else if (len == 0)
        option_node_fail(child, NULL, slot->err, ERR_CONFIG, "%s is empty; put the secret into it",
                         option_quote(path, quote));
    else
        rc = set_value(slot, value);
    free(value);
    return rc;
}

static int read_secret_file(const struct slot *slot, const struct option_node *child)
{
    char *path = NULL;
    int rc;

    if (option_node_text(child, "write the path here", &path, slot->err) < 0)
        return -1;
    rc = read_from_file(slot, child, path);
    free(path);
    return rc;
}

static int read_absent(const struct slot *slot)
{
    if (slot->row->def != NULL)
        return set_value(slot, slot->row->def);
    if ((slot->row->flags & OPT_REQUIRED) == 0)
        return 0;
    if (slot->row->choices != NULL) {
        struct text list = TEXT_INIT;

        add_names(&list, slot->row->choices);
        fail(slot, ERR_CONFIG, "is required; use %s", text_str(&list));
        text_fini(&list);
        return -1;
    }
    return fail(slot, ERR_CONFIG, "is required: %s", slot->row->help);
}

static int read_scalar(const struct slot *slot, const struct option_node *child)
{
    bool secret = (slot->row->flags & OPT_SECRET) != 0;
    char *remedy =
        secret ? text_format("use %s_file", slot->row->key) : mem_strdup("write the value here");
    char *value = NULL;
    int rc = option_node_text(child, remedy, &value, slot->err);

    if (rc == 0 && *value == '\0' && (slot->row->flags & OPT_MAY_EMPTY) != 0)
        rc = read_absent(slot);
    else if (rc == 0)
        rc = set_value(slot, value);
    free(value);
    free(remedy);
    return rc;
}

static int read_row(const struct slot *slot)
{
    const struct option_node *child = option_node_child(slot->node, slot->row->key);
    const struct option_node *file = NULL;

    if ((slot->row->flags & OPT_SECRET) != 0) {
        char *key = file_key(slot->row);

        file = option_node_child(slot->node, key);
        free(key);
    }
    if (child != NULL && file != NULL)
        return fail(slot, ERR_CONFIG, "is given, and so is %s_file on line %zu; keep one",
                    slot->row->key, option_node_line(file));
    if (file != NULL)
        return read_secret_file(slot, file);
    if (slot->row->type == OPT_NOT_YET)
        return child == NULL
                   ? 0
                   : fail(slot, ERR_NOT_YET, "not in this version yet: %s; remove the key for now",
                          slot->row->help);
    if (child == NULL)
        return read_absent(slot);
    if (slot->row->type == OPT_LIST)
        return read_list(slot, child);
    return read_scalar(slot, child);
}

int option_read(const struct option_node *node, const struct option *rows, const char *const *also,
                void *base, struct err *err)
{
    struct slot slot = {.node = node, .row = rows, .base = base, .err = err};

    if (option_node_kind(node) != OPTION_MAPPING)
        return option_node_fail(node, NULL, err, ERR_CONFIG, "must be a mapping of keys to values");
    if (also != option_any_key && check_keys(node, rows, also, err) < 0)
        return -1;
    for (; slot.row->key != NULL; slot.row++)
        if (read_row(&slot) < 0)
            return -1;
    return 0;
}

void option_free(const struct option *rows, void *base)
{
    for (const struct option *row = rows; row->key != NULL; row++) {
        void *at = (char *)base + row->offset;

        if (row->type == OPT_TEXT) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (row->type == OPT_LIST) {
            struct option_list *list = at;

            for (size_t i = 0; i < list->count; i++)
                free(list->items[i]);
            free(list->items);
            *list = (struct option_list){.items = NULL, .count = 0};
        }
    }
}
