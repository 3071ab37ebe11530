// SPDX-License-Identifier: Apache-2.0
// Words, an operator, and what an answer is as a text and as a number.
#include "assertion.h"

#include "mem.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DATABASE 1000000

static const char *const operators[] = {
    [ASSERT_HOLDS] = "", [ASSERT_EQ] = "==", [ASSERT_NE] = "!=", [ASSERT_LT] = "<",
    [ASSERT_LE] = "<=",  [ASSERT_GT] = ">",  [ASSERT_GE] = ">=",
};

/* The word at *at, of which quotes and backslashes in them are taken off; NULL: a quote is open. */
static char *take_word(const char **at)
{
    struct text word = TEXT_INIT;
    const char *from = *at;

    if (*from != '"') {
        size_t len = strcspn(from, " \t");

        *at = from + len;
        return mem_strndup(from, len);
    }
    for (from++; *from != '"'; from++) {
        from += from[0] == '\\' && from[1] != '\0';
        if (*from == '\0') {
            text_fini(&word);
            return NULL;
        }
        text_add_char(&word, *from);
    }
    *at = from + 1;
    return word.data == NULL ? mem_strdup("") : text_take(&word);
}

static enum assertion_operator find_operator(const char *word)
{
    for (size_t i = ASSERT_EQ; i <= ASSERT_GE; i++)
        if (strcmp(word, operators[i]) == 0)
            return (enum assertion_operator)i;
    return ASSERT_HOLDS;
}

static int split(const char *line, struct assertion *assertion, struct err *err)
{
    const char *at = line + strspn(line, " \t");

    while (*at != '\0') {
        if (assertion->count == ASSERTION_MAX_WORDS)
            return err_set(err, ERR_CONFIG, "assert \"%s\": more than %d words", line,
                           ASSERTION_MAX_WORDS);
        assertion->words[assertion->count] = take_word(&at);
        if (assertion->words[assertion->count] == NULL)
            return err_set(err, ERR_CONFIG, "assert \"%s\": a quote is not closed", line);
        assertion->count++;
        if (*at != '\0' && strchr(" \t", *at) == NULL)
            return err_set(err, ERR_CONFIG, "assert \"%s\": a blank must follow a quote", line);
        at += strspn(at, " \t");
    }
    return 0;
}

static int take_database(const char *line, struct assertion *assertion, struct err *err)
{
    uint64_t number;

    if (assertion->count == 0 || assertion->words[0][0] != '@')
        return 0;
    if (text_parse_u64(assertion->words[0] + 1, &number) < 0 || number > MAX_DATABASE)
        return err_set(err, ERR_CONFIG, "assert \"%s\": write @3 for database 3", line);
    assertion->database = (unsigned)number;
    free(assertion->words[0]);
    assertion->count--;
    memmove(assertion->words, assertion->words + 1, assertion->count * sizeof assertion->words[0]);
    return 0;
}

static bool whole_number(const char *text, long long *number)
{
    char *end;

    if (*text == '\0' || strspn(text, "-0123456789") != strlen(text))
        return false;
    *number = strtoll(text, &end, 10);
    return *end == '\0';
}

static int take_operator(const char *line, struct assertion *assertion, struct err *err)
{
    size_t last = assertion->count - 1;
    long long number;

    if (find_operator(assertion->words[last]) != ASSERT_HOLDS)
        return err_set(err, ERR_CONFIG, "assert \"%s\": nothing to compare with", line);
    if (last < 2)
        return 0;
    assertion->operator_ = find_operator(assertion->words[last - 1]);
    if (assertion->operator_ == ASSERT_HOLDS)
        return 0;
    if (assertion->operator_ > ASSERT_NE && !whole_number(assertion->words[last], &number))
        return err_set(err, ERR_CONFIG, "assert \"%s\": \"%s\" is no whole number", line,
                       assertion->words[last]);
    assertion->value = assertion->words[last];
    free(assertion->words[last - 1]);
    assertion->count -= 2;
    return 0;
}

int assertion_parse(const char *line, struct assertion *assertion, struct err *err)
{
    *assertion = (struct assertion){.count = 0};
    if (split(line, assertion, err) < 0 || take_database(line, assertion, err) < 0)
        return -1;
    if (assertion->count == 0)
        return err_set(err, ERR_CONFIG, "assert \"%s\": no command", line);
    return take_operator(line, assertion, err);
}

void assertion_fini(struct assertion *assertion)
{
    for (size_t i = 0; i < assertion->count; i++)
        free(assertion->words[i]);
    free(assertion->value);
}

static bool compare(enum assertion_operator operator_, long long left, long long right)
{
    switch (operator_) {
    case ASSERT_LT:
        return left < right;
    case ASSERT_LE:
        return left <= right;
    case ASSERT_GT:
        return left > right;
    default:
        return left >= right;
    }
}

bool assertion_holds(const struct assertion *assertion, const redisReply *reply)
{
    char number[24];
    const char *text = number;
    long long left, right;

    if (reply->type == REDIS_REPLY_ERROR)
        return false;
    snprintf(number, sizeof number, "%lld",
             reply->type == REDIS_REPLY_ARRAY ? (long long)reply->elements : reply->integer);
    if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
        text = reply->str;
    else if (reply->type == REDIS_REPLY_NIL)
        text = "nil";
    switch (assertion->operator_) {
    case ASSERT_HOLDS:
        return reply->type != REDIS_REPLY_NIL && text[0] != '\0' && strcmp(text, "0") != 0;
    case ASSERT_EQ:
        return strcmp(text, assertion->value) == 0;
    case ASSERT_NE:
        return strcmp(text, assertion->value) != 0;
    default:
        return whole_number(text, &left) && whole_number(assertion->value, &right) &&
               compare(assertion->operator_, left, right);
    }
}
