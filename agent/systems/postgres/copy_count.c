// SPDX-License-Identifier: Apache-2.0
// SQL goes through sql_split until a statement "COPY schema.table (...) FROM stdin" is complete;
// then lines are counted up to the one that is "\.". In the text format of COPY a newline or a
// backslash in a value is always escaped, so lines are rows and no row is "\.".
#include "copy_count.h"

#include "mem.h"
#include "names.h"
#include "sql_split.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* "COPY " and two names of 63 bytes, each byte doubled in quotes, with room to spare. */
#define MAX_TEXT 1024

enum mode {
    IN_SQL,
    COPY_HEAD, /* after the semicolon, before the newline */
    LINE_START,
    LINE_BACKSLASH, /* the line is "\" so far */
    LINE_END_MARK,  /* the line is "\." so far */
    IN_LINE,
};

struct copy_count {
    struct sql_split *split;
    enum mode mode;
    copy_table_fn *table;
    void *arg;
    char *name; /* of the block that is being counted */
    uint64_t rows;
};

struct copy_count *copy_count_new(copy_table_fn *table, void *arg)
{
    struct copy_count *count = mem_calloc(1, sizeof *count);

    count->split = sql_split_new(MAX_TEXT);
    count->table = table;
    count->arg = arg;
    return count;
}

void copy_count_free(struct copy_count *count)
{
    if (count == NULL)
        return;
    sql_split_free(count->split);
    free(count->name);
    free(count);
}

/* Reads a name as in SQL, without its quotes; returns what follows, NULL when there is none. */
static const char *take_name(const char *at, struct text *name)
{
    if (*at != '"') {
        size_t len = strcspn(at, ". (\"");

        text_add_bytes(name, at, len);
        return len == 0 ? NULL : at + len;
    }
    for (at++; *at != '\0'; at++) {
        if (*at == '"' && *++at != '"')
            return at;
        text_add_char(name, *at);
    }
    return NULL;
}

static char *key_of(const char *statement)
{
    struct text schema = TEXT_INIT, table = TEXT_INIT;
    const char *at = take_name(statement + strlen("COPY "), &schema);
    char *key = NULL;

    if (at != NULL && *at == '.')
        at = take_name(at + 1, &table);
    else
        at = NULL;
    if (at != NULL && *at == ' ')
        key = pg_table_key(text_str(&schema), text_str(&table));
    text_fini(&schema);
    text_fini(&table);
    return key;
}

static int on_statement(struct copy_count *count, struct err *err)
{
    const char *text = sql_split_text(count->split, NULL);

    if (!text_starts_with(text, "COPY ") || !sql_split_ends_with(count->split, " FROM stdin"))
        return 0;
    count->name = key_of(text);
    if (count->name == NULL)
        return err_set(err, ERR_CORRUPT, "a COPY without the name of a table");
    count->rows = 0;
    count->mode = COPY_HEAD;
    return 0;
}

static int feed_sql(struct copy_count *count, const uint8_t *data, size_t len, size_t *used,
                    struct err *err)
{
    bool complete;

    if (sql_split_feed(count->split, data, len, used, &complete, err) < 0)
        return -1;
    return complete ? on_statement(count, err) : 0;
}

static void end_block(struct copy_count *count)
{
    count->table(count->arg, count->name, count->rows);
    free(count->name);
    count->name = NULL;
    count->mode = IN_SQL;
}

/* One byte that may matter: at the start of a line. */
static int on_byte(struct copy_count *count, uint8_t c, struct err *err)
{
    if (count->mode == COPY_HEAD) {
        if (c != '\n')
            return err_set(err, ERR_CORRUPT, "a COPY block that does not begin on a new line");
        count->mode = LINE_START;
    } else if (c == '\n' && count->mode == LINE_END_MARK) {
        end_block(count);
    } else if (c == '\n') {
        count->rows++;
        count->mode = LINE_START;
    } else if (count->mode == LINE_START && c == '\\') {
        count->mode = LINE_BACKSLASH;
    } else if (count->mode == LINE_BACKSLASH && c == '.') {
        count->mode = LINE_END_MARK;
    } else {
        count->mode = IN_LINE;
    }
    return 0;
}

int copy_count_feed(struct copy_count *count, const uint8_t *data, size_t len, struct err *err)
{
    size_t pos = 0;

    while (pos < len) {
        size_t used = 1;

        if (count->mode == IN_LINE) {
            const uint8_t *newline = memchr(data + pos, '\n', len - pos);

            if (newline == NULL)
                return 0;
            pos = (size_t)(newline - data);
        }
        if (count->mode == IN_SQL) {
            if (feed_sql(count, data + pos, len - pos, &used, err) < 0)
                return -1;
        } else if (on_byte(count, data[pos], err) < 0) {
            return -1;
        }
        pos += used;
    }
    return 0;
}

int copy_count_end(struct copy_count *count, struct err *err)
{
    if (count->mode != IN_SQL)
        return err_set(err, ERR_CORRUPT, "the data of %s do not end", count->name);
    if (!sql_split_between(count->split))
        return err_set(err, ERR_CORRUPT, "the SQL ends in the middle of a statement");
    return 0;
}
