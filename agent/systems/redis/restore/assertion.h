// SPDX-License-Identifier: Apache-2.0
// One line of `assert` for Redis: [@DATABASE] COMMAND [ARGUMENT...] [OPERATOR VALUE], as in
// "DBSIZE > 0", "@3 EXISTS session:1" or "GET motd == \"good day\"". Operators are == != < <= > >=,
// a word of their own before the last word. Without one, the answer must not be an error, nil, 0
// or empty. An array counts as the number of its elements, nil as the word nil; < and the like
// compare whole numbers, == and != compare as text.
#pragma once

#include "err.h"

#include <hiredis.h>
#include <stdbool.h>
#include <stddef.h>

#define ASSERTION_MAX_WORDS 16

enum assertion_operator {
    ASSERT_HOLDS,
    ASSERT_EQ,
    ASSERT_NE,
    ASSERT_LT,
    ASSERT_LE,
    ASSERT_GT,
    ASSERT_GE
};

struct assertion {
    char *words[ASSERTION_MAX_WORDS]; /* the command */
    size_t count;
    unsigned database;
    enum assertion_operator operator_;
    char *value; /* NULL with ASSERT_HOLDS */
};

/* The error says what is wrong with line; assertion_fini is right either way. */
int assertion_parse(const char *line, struct assertion *assertion, struct err *err);
void assertion_fini(struct assertion *assertion);
/* Whether the answer is as the assertion says. An error as answer never is. */
bool assertion_holds(const struct assertion *assertion, const redisReply *reply);
