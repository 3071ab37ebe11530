// SPDX-License-Identifier: Apache-2.0
// The choice of topics: pure, so that it can be tested without a cluster.
#include "topics.h"

#include "text.h"

#include <regex.h>
#include <string.h>

bool kafka_topic_is_internal(const char *name)
{
    return text_starts_with(name, "__");
}

static int choose_name(const char *wanted, const char *const *names, size_t count, bool *chosen,
                       struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], wanted) == 0) {
            chosen[i] = true;
            return 0;
        }
    return err_set(err, ERR_NOT_FOUND,
                   "topic %s: there is none of that name, or this user may not describe it",
                   wanted);
}

/* The leftmost match is the longest there: if the whole name matches, it is that. */
static bool matches_whole(const regex_t *pattern, const char *name)
{
    regmatch_t match;

    return regexec(pattern, name, 1, &match, 0) == 0 && match.rm_so == 0 &&
           name[match.rm_eo] == '\0';
}

static int choose_pattern(const char *wanted, const char *const *names, size_t count, bool *chosen,
                          struct err *err)
{
    size_t found = 0;
    regex_t pattern;

    if (regcomp(&pattern, wanted + strlen("re:"), REG_EXTENDED) != 0)
        return err_set(err, ERR_CONFIG, "topics: %s is no extended regular expression", wanted);
    for (size_t i = 0; i < count; i++)
        if (!kafka_topic_is_internal(names[i]) && matches_whole(&pattern, names[i])) {
            chosen[i] = true;
            found++;
        }
    regfree(&pattern);
    if (found > 0)
        return 0;
    return err_set(err, ERR_NOT_FOUND,
                   "topics: %s matches no topic that this user may describe (internal ones only by "
                   "name)",
                   wanted);
}

int kafka_topics_choose(const struct option_list *wanted, const char *const *names, size_t count,
                        bool *chosen, struct err *err)
{
    memset(chosen, 0, count * sizeof *chosen);
    for (size_t i = 0; i < wanted->count; i++)
        if ((text_starts_with(wanted->items[i], "re:") ? choose_pattern : choose_name)(
                wanted->items[i], names, count, chosen, err) < 0)
            return -1;
    return 0;
}
