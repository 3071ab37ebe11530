// SPDX-License-Identifier: Apache-2.0
// A state machine over bytes, after the lexical rules in PostgreSQL's documentation ("Lexical
// Structure"). Long strings and bodies are skipped with memchr, never kept.
#include "sql_split.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define TAIL_BYTES 16
/* pg_dump lengthens the tag of a dollar quote until the text does not contain it. */
#define MAX_TAG 4096

enum state {
    PLAIN,
    LINE_COMMENT,
    BLOCK_COMMENT,
    STRING,
    STRING_MARK, /* a ' within a string: its end, or the first of two */
    NAME,
    TAG,  /* a $ that may begin a dollar quote */
    BODY, /* of a dollar quote */
    META, /* a line for psql: \restrict and the like */
};

struct sql_split {
    enum state state;
    char *text;
    size_t len, max_text;
    bool complete, cut;
    char tail[TAIL_BYTES]; /* the last bytes outside of quotes */
    uint8_t last;          /* the byte before this one, in PLAIN and BLOCK_COMMENT; 0: none */
    size_t word_len;       /* of the name or number that is being read */
    bool backslashes;      /* this string takes \ as an escape */
    bool escaped;          /* the byte before was such a \ */
    bool all_backslashes;  /* standard_conforming_strings = off */
    unsigned depth;        /* of nested comments */
    char tag[MAX_TAG];     /* "$tag$" */
    size_t tag_len, matched;
};

struct sql_split *sql_split_new(size_t max_text)
{
    struct sql_split *split = mem_calloc(1, sizeof *split);

    split->text = mem_calloc(1, max_text + 1);
    split->max_text = max_text;
    return split;
}

void sql_split_free(struct sql_split *split)
{
    if (split == NULL)
        return;
    free(split->text);
    free(split);
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void keep(struct sql_split *split, const uint8_t *data, size_t len)
{
    size_t space = split->max_text - split->len;
    size_t n = len < space ? len : space;

    memcpy(split->text + split->len, data, n);
    split->len += n;
    split->cut |= n < len;
}

static void keep_plain(struct sql_split *split, uint8_t c)
{
    keep(split, &c, 1);
    memmove(split->tail, split->tail + 1, TAIL_BYTES - 1);
    split->tail[TAIL_BYTES - 1] = (char)c;
}

/* The first of two marks that begin a comment was kept as plain text. */
static void begin_comment(struct sql_split *split, enum state state)
{
    if (!split->cut)
        split->len--;
    memmove(split->tail + 1, split->tail, TAIL_BYTES - 1);
    split->tail[0] = '\0';
    split->state = state;
    split->depth = 1;
    split->last = 0;
}

static void begin_string(struct sql_split *split)
{
    bool marked = split->word_len == 1 && (split->last == 'E' || split->last == 'e');

    split->state = STRING;
    split->backslashes = marked || split->all_backslashes;
    split->escaped = false;
}

static void end_statement(struct sql_split *split)
{
    split->text[split->len] = '\0';
    split->complete = true;
    split->word_len = 0;
    split->last = 0;
    if (strcmp(split->text, "SET standard_conforming_strings = off") == 0)
        split->all_backslashes = true;
    else if (strcmp(split->text, "SET standard_conforming_strings = on") == 0)
        split->all_backslashes = false;
}

static void begin_statement(struct sql_split *split)
{
    split->complete = split->cut = false;
    split->len = 0;
    memset(split->tail, 0, sizeof split->tail);
}

static void on_plain(struct sql_split *split, uint8_t c)
{
    bool in_word = split->word_len > 0;

    if (c == ';') {
        end_statement(split);
        return;
    }
    if (c == '-' && split->last == '-') {
        begin_comment(split, LINE_COMMENT);
        return;
    }
    if (c == '*' && split->last == '/') {
        begin_comment(split, BLOCK_COMMENT);
        return;
    }
    if (split->len == 0 && c == '\\') {
        split->state = META;
        return;
    }
    if (split->len == 0 && is_blank(c))
        return;
    keep_plain(split, c);
    if (c == '\'') {
        begin_string(split);
    } else if (c == '"') {
        split->state = NAME;
    } else if (c == '$' && !in_word) {
        split->state = TAG;
        split->tag[0] = '$';
        split->tag_len = 1;
    }
    split->last = c;
    split->word_len = is_word(c) || (c == '$' && in_word) ? split->word_len + 1 : 0;
}

static void on_block_comment(struct sql_split *split, uint8_t c)
{
    if (c == '/' && split->last == '*') {
        split->last = 0;
        if (--split->depth == 0)
            split->state = PLAIN;
    } else if (c == '*' && split->last == '/') {
        split->last = 0;
        split->depth++;
    } else {
        split->last = c;
    }
}

/* Back in plain text, where c is read again. */
static void end_quote(struct sql_split *split)
{
    split->state = PLAIN;
    split->last = 0;
    split->word_len = 0;
}

static int on_tag(struct sql_split *split, uint8_t c, bool *again, struct err *err)
{
    bool first = split->tag_len == 1;

    if (c != '$' && (!is_word(c) || (first && c >= '0' && c <= '9'))) {
        end_quote(split);
        *again = true;
        return 0;
    }
    if (split->tag_len == MAX_TAG)
        return err_set(err, ERR_CORRUPT, "a dollar quote with a tag of more than %d bytes",
                       MAX_TAG);
    keep(split, &c, 1);
    split->tag[split->tag_len++] = (char)c;
    if (c == '$') {
        split->state = BODY;
        split->matched = 0;
    }
    return 0;
}

/* The mark is the first and the last byte of the tag, and nowhere between, so a mismatch can only
 * begin anew with the byte at hand. */
static void on_body(struct sql_split *split, uint8_t c)
{
    if ((char)c == split->tag[split->matched])
        split->matched++;
    else
        split->matched = c == '$';
    if (split->matched == split->tag_len)
        end_quote(split);
}

static void on_string(struct sql_split *split, uint8_t c)
{
    if (split->escaped)
        split->escaped = false;
    else if (c == '\\' && split->backslashes)
        split->escaped = true;
    else if (c == '\'')
        split->state = STRING_MARK;
}

/* How many bytes from data on cannot change the state. */
static size_t skippable(const struct sql_split *split, const uint8_t *data, size_t len)
{
    const uint8_t *stop = NULL;

    if (split->state == STRING && !split->backslashes)
        stop = memchr(data, '\'', len);
    else if (split->state == BODY && split->matched == 0)
        stop = memchr(data, '$', len);
    else if (split->state == NAME)
        stop = memchr(data, '"', len);
    else if (split->state == LINE_COMMENT || split->state == META)
        stop = memchr(data, '\n', len);
    else
        return 0;
    return stop == NULL ? len : (size_t)(stop - data);
}

static int on_byte(struct sql_split *split, uint8_t c, bool *again, struct err *err)
{
    switch (split->state) {
    case PLAIN:
        on_plain(split, c);
        return 0;
    case LINE_COMMENT:
    case META:
        if (c == '\n')
            end_quote(split);
        return 0;
    case BLOCK_COMMENT:
        on_block_comment(split, c);
        return 0;
    case TAG:
        return on_tag(split, c, again, err);
    case STRING_MARK:
        if (c == '\'') {
            keep(split, &c, 1);
            split->state = STRING;
        } else {
            end_quote(split);
            *again = true;
        }
        return 0;
    case STRING:
        on_string(split, c);
        break;
    case NAME:
        if (c == '"')
            end_quote(split);
        break;
    case BODY:
        on_body(split, c);
        break;
    }
    keep(split, &c, 1);
    return 0;
}

int sql_split_feed(struct sql_split *split, const uint8_t *data, size_t len, size_t *used,
                   bool *complete, struct err *err)
{
    size_t pos = 0;

    if (split->complete)
        begin_statement(split);
    while (pos < len && !split->complete) {
        size_t skip = skippable(split, data + pos, len - pos);
        bool again = false;

        if (skip > 0 && split->state != LINE_COMMENT && split->state != META)
            keep(split, data + pos, skip);
        pos += skip;
        if (pos == len)
            break;
        if (on_byte(split, data[pos], &again, err) < 0)
            return -1;
        pos += !again;
    }
    *used = pos;
    *complete = split->complete;
    return 0;
}

const char *sql_split_text(const struct sql_split *split, bool *cut)
{
    if (cut != NULL)
        *cut = split->cut;
    return split->text;
}

bool sql_split_ends_with(const struct sql_split *split, const char *words)
{
    size_t len = strlen(words);

    return len <= TAIL_BYTES && memcmp(split->tail + TAIL_BYTES - len, words, len) == 0;
}

bool sql_split_between(const struct sql_split *split)
{
    return split->state == PLAIN && (split->complete || split->len == 0);
}
