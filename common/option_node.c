// SPDX-License-Identifier: Apache-2.0
// Looking at the nodes of a configuration file: finding them, naming them in errors, and the text
// of a scalar with its environment variables. What the text means is the business of option.c.
#include "option_node.h"

#include "mem.h"
#include "text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *option_quote(const char *value, char *buffer)
{
    const char *scheme = strstr(value, "://");
    const char *at = scheme == NULL ? NULL : strrchr(scheme, '@');
    size_t len = 0;

    buffer[len++] = '"';
    for (const char *from = value; *from != '\0'; from++) {
        if (len + 9 > OPTION_QUOTE_CAP) {
            memcpy(buffer + len, "...", 3);
            len += 3;
            break;
        }
        if (at != NULL && from == scheme + 3) {
            memcpy(buffer + len, "***", 3);
            len += 3;
            from = at;
        }
        buffer[len++] = (unsigned char)*from < 0x20 || *from == 0x7f ? '?' : *from;
    }
    buffer[len++] = '"';
    buffer[len] = '\0';
    return buffer;
}

static void add_path(const struct option_node *node, struct text *path)
{
    if (node->parent == NULL)
        return;
    add_path(node->parent, path);
    if (node->parent->kind == OPTION_LIST)
        text_add(path, "[%zu]", node->index);
    else
        text_add(path, "%s%s", path->len > 0 ? "." : "", node->key);
}

int option_node_fail(const struct option_node *node, const char *key, struct err *err,
                     enum err_kind kind, const char *format, ...)
{
    const struct option_node *child = key == NULL ? NULL : option_node_child(node, key);
    struct text path = TEXT_INIT;
    struct text what = TEXT_INIT;
    va_list args;

    va_start(args, format);
    text_add_v(&what, format, args);
    va_end(args);
    add_path(node, &path);
    if (key != NULL)
        text_add(&path, "%s%s", path.len > 0 ? "." : "", key);
    err_set(err, kind, "%s:%zu: %s%s%s", node->file->name, child == NULL ? node->line : child->line,
            text_str(&path), path.len > 0 ? ": " : "", text_str(&what));
    text_fini(&path);
    text_fini(&what);
    return -1;
}

enum option_kind option_node_kind(const struct option_node *node)
{
    return node->kind;
}

size_t option_node_count(const struct option_node *node)
{
    return node->count;
}

const struct option_node *option_node_item(const struct option_node *node, size_t index)
{
    assert(index < node->count);
    return node->children[index];
}

const struct option_node *option_node_child(const struct option_node *node, const char *key)
{
    for (size_t i = 0; node->kind == OPTION_MAPPING && i < node->count; i++)
        if (strcmp(node->children[i]->key, key) == 0)
            return node->children[i];
    return NULL;
}

const char *option_node_key(const struct option_node *node)
{
    return node->key;
}

size_t option_node_line(const struct option_node *node)
{
    return node->line;
}

struct option_node *option_node_new(struct option_file *file, const struct option_node *parent,
                                    enum option_kind kind, size_t line)
{
    struct option_node *node = mem_calloc(1, sizeof *node);

    node->file = file;
    node->parent = parent;
    node->kind = kind;
    node->line = line;
    node->next = file->nodes;
    file->nodes = node;
    file->node_count++;
    return node;
}

const struct option_node *option_node_section(const struct option_node *node, const char *key)
{
    const struct option_node *child = option_node_child(node, key);

    if (child == NULL) {
        struct option_node *empty = option_node_new(node->file, node, OPTION_MAPPING, node->line);

        empty->key = mem_strdup(key);
        child = empty;
    }
    return child;
}

/* Reads "NAME}" after "${"; returns what follows, or NULL when it is not of that form. */
static const char *take_name(const char *at, struct text *name)
{
    for (; (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') || *at == '_' ||
           (name->len > 0 && *at >= '0' && *at <= '9');
         at++)
        text_add_char(name, *at);
    return name->len > 0 && *at == '}' ? at + 1 : NULL;
}

static const char *expand_one(const struct option_node *node, const char *at, const char *remedy,
                              struct text *out, struct err *err)
{
    struct text name = TEXT_INIT;
    const char *end = take_name(at, &name);
    const char *value = end == NULL ? NULL : getenv(name.data);

    if (end == NULL) {
        option_node_fail(node, NULL, err, ERR_CONFIG,
                         "\"${\" begins no variable; write ${NAME}, or $${ for a plain ${");
    } else if (value == NULL) {
        option_node_fail(node, NULL, err, ERR_CONFIG,
                         "environment variable %.64s is not set; export it, or %s", name.data,
                         remedy);
        end = NULL;
    } else {
        text_add(out, "%s", value);
    }
    text_fini(&name);
    return end;
}

int option_node_text(const struct option_node *node, const char *remedy, char **text,
                     struct err *err)
{
    struct text out = TEXT_INIT;
    const char *at = node->value;

    if (node->kind != OPTION_SCALAR)
        return option_node_fail(node, NULL, err, ERR_CONFIG,
                                "must be one value, not a list or a mapping");
    if (at == NULL)
        return option_node_fail(node, NULL, err, ERR_CONFIG,
                                "has no value; give one, or remove the key");
    while (at != NULL && *at != '\0' && out.len <= OPTION_MAX_VALUE_BYTES) {
        if (text_starts_with(at, "$${")) {
            text_add(&out, "${");
            at += 3;
        } else if (text_starts_with(at, "${")) {
            at = expand_one(node, at + 2, remedy, &out, err);
        } else {
            text_add_char(&out, *at++);
        }
    }
    if (at != NULL && out.len > OPTION_MAX_VALUE_BYTES) {
        option_node_fail(node, NULL, err, ERR_CONFIG, "is longer than %zu bytes",
                         OPTION_MAX_VALUE_BYTES);
        at = NULL;
    }
    if (at == NULL) {
        text_fini(&out);
        return -1;
    }
    *text = text_take(&out);
    return 0;
}
