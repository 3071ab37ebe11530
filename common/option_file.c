// SPDX-License-Identifier: Apache-2.0
// The YAML file as a tree of nodes that know their line and their path. It is built from libyaml's
// events and not from its document, because only the events show anchors and aliases: those are
// refused, so that the tree is never larger than the file. Depth, number of nodes and of keys are
// bounded; keys are plain names, so that a path can be printed as it is.
#include "option_node.h"

#include "file.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_NODES   20000
#define MAX_KEYS    256
#define MAX_DEPTH   32
#define MAX_KEY_LEN 64

struct builder {
    yaml_parser_t parser;
    struct option_file *file;
    struct option_node *open[MAX_DEPTH]; /* collections being filled, innermost last */
    size_t depth;
    char *key; /* of the next node, when the innermost is a mapping */
    size_t key_line;
    const char *data;
    size_t len;
    struct err *err;
};

static int fail_at(struct builder *b, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail_at(struct builder *b, size_t line, const char *format, ...)
{
    struct text what = TEXT_INIT;
    va_list args;

    va_start(args, format);
    text_add_v(&what, format, args);
    va_end(args);
    err_set(b->err, ERR_CONFIG, "%s:%zu: %s", b->file->name, line, text_str(&what));
    text_fini(&what);
    return -1;
}

static struct option_node *innermost(struct builder *b)
{
    return b->depth == 0 ? NULL : b->open[b->depth - 1];
}

static bool key_is_next(struct builder *b)
{
    return b->depth > 0 && innermost(b)->kind == OPTION_MAPPING && b->key == NULL;
}

static int take_key(struct builder *b, const char *key, size_t len, size_t line)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const struct option_node *mapping = innermost(b);
    const struct option_node *first;

    if (len == 0 || len > MAX_KEY_LEN || strspn(key, allowed) != len)
        return fail_at(b, line, "a key must be a name of letters, digits, '_' and '-'");
    if (mapping->count >= MAX_KEYS)
        return fail_at(b, line, "more than %d keys in one mapping", MAX_KEYS);
    first = option_node_child(mapping, key);
    if (first != NULL)
        return option_node_fail(mapping, key, b->err, ERR_CONFIG,
                                "is given twice, here and on line %zu; keep one", line);
    b->key = mem_strndup(key, len);
    b->key_line = line;
    return 0;
}

static struct option_node *add_node(struct builder *b, enum option_kind kind, size_t line)
{
    struct option_node *parent = innermost(b);
    struct option_node *node;

    if (b->file->node_count >= MAX_NODES) {
        fail_at(b, line, "more than %d values in one file", MAX_NODES);
        return NULL;
    }
    node = option_node_new(b->file, parent, kind, b->key == NULL ? line : b->key_line);
    node->key = b->key;
    b->key = NULL;
    if (parent == NULL) {
        b->file->root = node;
        return node;
    }
    node->index = parent->count;
    if ((parent->count & (parent->count - 1)) == 0)
        parent->children =
            mem_realloc(parent->children, (parent->count * 2 + 1) * sizeof(struct option_node *));
    parent->children[parent->count++] = node;
    return node;
}

static bool is_null(const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;

    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*value == '\0' || strcmp(value, "~") == 0 || strcmp(value, "null") == 0);
}

static int take_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    size_t line = event->start_mark.line + 1;
    struct option_node *node;

    if (strlen(value) != len)
        return fail_at(b, line, "a value must not hold a NUL character");
    if (key_is_next(b))
        return take_key(b, value, len, line);
    node = add_node(b, OPTION_SCALAR, line);
    if (node == NULL)
        return -1;
    node->value = is_null(event) ? NULL : mem_strndup(value, len);
    return 0;
}

static int take_collection(struct builder *b, enum option_kind kind, size_t line)
{
    struct option_node *node;

    if (key_is_next(b))
        return fail_at(b, line, "a key must be a name of letters, digits, '_' and '-'");
    if (b->depth == MAX_DEPTH)
        return fail_at(b, line, "nested more than %d deep", MAX_DEPTH);
    node = add_node(b, kind, line);
    if (node == NULL)
        return -1;
    b->open[b->depth++] = node;
    return 0;
}

static int refuse_extras(struct builder *b, const yaml_event_t *event, const yaml_char_t *anchor,
                         const yaml_char_t *tag)
{
    if (anchor != NULL)
        return fail_at(b, event->start_mark.line + 1,
                       "anchors (&) and aliases (*) are not supported; write the value out, or put "
                       "it in quotes if it begins with & or *");
    if (tag != NULL)
        return fail_at(b, event->start_mark.line + 1,
                       "tags (!) are not supported; remove it, or put the value in quotes if it "
                       "begins with !");
    return 0;
}

/* 1 when the stream is over. */
static int take_event(struct builder *b, const yaml_event_t *event)
{
    static const yaml_char_t some[] = "";
    size_t line = event->start_mark.line + 1;

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->file->root != NULL)
            return fail_at(b, line, "a second document begins here; a configuration is one");
        return 0;
    case YAML_ALIAS_EVENT:
        return refuse_extras(b, event, some, NULL);
    case YAML_SCALAR_EVENT:
        if (refuse_extras(b, event, event->data.scalar.anchor, event->data.scalar.tag) < 0)
            return -1;
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        if (refuse_extras(b, event, event->data.sequence_start.anchor,
                          event->data.sequence_start.tag) < 0)
            return -1;
        return take_collection(b, OPTION_LIST, line);
    case YAML_MAPPING_START_EVENT:
        if (refuse_extras(b, event, event->data.mapping_start.anchor,
                          event->data.mapping_start.tag) < 0)
            return -1;
        return take_collection(b, OPTION_MAPPING, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return 0;
    case YAML_STREAM_END_EVENT:
        return 1;
    default:
        return 0;
    }
}

static size_t line_at(const struct builder *b, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset && i < b->len; i++)
        line += b->data[i] == '\n';
    return line;
}

/* The text of a line, for a closer look at it; free it. */
static char *copy_line(const struct builder *b, size_t line)
{
    const char *at = b->data;
    const char *end = b->data + b->len;
    const char *newline;

    for (; line > 1 && at < end; at++)
        line -= *at == '\n';
    newline = memchr(at, '\n', (size_t)(end - at));
    return mem_strndup(at, (size_t)((newline == NULL ? end : newline) - at));
}

/* What would be right; the two mistakes that YAML itself explains worst come first. */
static const char *remedy(const struct builder *b, size_t line)
{
    char *text = copy_line(b, line);
    const char *words = text + strspn(text, " \t");
    const char *found = "look at indentation and quotes";

    if (memchr(text, '\t', (size_t)(words - text)) != NULL)
        found = "a tab cannot indent; use spaces";
    else if (strstr(words, "${") != NULL)
        found = "inside {...} and [...] write \"${VAR}\" with its quotes";
    free(text);
    return found;
}

static int syntax_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    size_t line = p->problem_mark.line + 1;
    const char *problem = p->problem == NULL ? "out of memory" : p->problem;

    if (p->error == YAML_READER_ERROR)
        return fail_at(b, line_at(b, p->problem_offset),
                       "%s; save the file as UTF-8 without control characters", problem);
    if (p->context != NULL && p->context_mark.line != p->problem_mark.line)
        return fail_at(b, line, "not valid YAML: %s, %s that began on line %zu; %s", problem,
                       p->context, p->context_mark.line + 1, remedy(b, line));
    return fail_at(b, line, "not valid YAML: %s; %s", problem, remedy(b, line));
}

static int build(struct builder *b)
{
    int step = 0;

    while (step == 0) {
        yaml_event_t event;

        if (!yaml_parser_parse(&b->parser, &event))
            return syntax_error(b);
        step = take_event(b, &event);
        yaml_event_delete(&event);
    }
    if (step < 0)
        return -1;
    if (b->file->root == NULL || (b->file->root->kind == OPTION_SCALAR && !b->file->root->value))
        return fail_at(b, 1,
                       "there is nothing in it; the examples in docs/ show what belongs "
                       "in a configuration");
    return 0;
}

int option_file_parse(const char *name, const char *data, size_t len, struct option_file **file,
                      struct err *err)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, as some editors write it */
    size_t skip = len >= 3 && memcmp(data, mark, 3) == 0 ? 3 : 0;
    struct builder b = {.data = data + skip, .len = len - skip, .err = err};
    int rc = -1;

    b.file = mem_calloc(1, sizeof *b.file);
    b.file->name = mem_strdup(name);
    if (len > OPTION_FILE_MAX_BYTES) {
        err_set(err, ERR_CONFIG, "%s: larger than %zu bytes", name, OPTION_FILE_MAX_BYTES);
        goto out;
    }
    if (!yaml_parser_initialize(&b.parser)) {
        err_set(err, ERR_CONFIG, "%s: out of memory", name);
        goto out;
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.data, b.len);
    rc = build(&b);
    yaml_parser_delete(&b.parser);
out:
    free(b.key);
    if (rc < 0)
        option_file_close(b.file);
    else
        *file = b.file;
    return rc;
}

int option_file_open(const char *path, struct option_file **file, struct err *err)
{
    char *data = NULL;
    size_t len = 0;
    int rc;

    if (file_read(path, OPTION_FILE_MAX_BYTES, &data, &len, err) < 0) {
        struct err why = *err;

        /* Whatever it is, the command line or the file must change. */
        return err_set(err, ERR_CONFIG, "%s; -c names the configuration file", why.text);
    }
    rc = option_file_parse(path, data, len, file, err);
    free(data);
    return rc;
}

void option_file_close(struct option_file *file)
{
    if (file == NULL)
        return;
    while (file->nodes != NULL) {
        struct option_node *node = file->nodes;

        file->nodes = node->next;
        free(node->key);
        free(node->value);
        free(node->children);
        free(node);
    }
    free(file->name);
    free(file);
}

const struct option_node *option_file_root(const struct option_file *file)
{
    return file->root;
}
