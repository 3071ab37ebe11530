// SPDX-License-Identifier: Apache-2.0
// The reference of the rows, as Markdown.
#include "option_node.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>

const char *option_show_bound(enum option_type type, uint64_t bound, char *buffer)
{
    static const struct {
        enum option_type type;
        uint64_t factor;
        const char *unit;
    } units[] = {
        {OPT_SIZE, UINT64_C(1) << 40, "TiB"},
        {OPT_SIZE, UINT64_C(1) << 30, "GiB"},
        {OPT_SIZE, UINT64_C(1) << 20, "MiB"},
        {OPT_SIZE, UINT64_C(1) << 10, "KiB"},
        {OPT_SIZE, 1, "B"},
        {OPT_DURATION, 86400000, "d"},
        {OPT_DURATION, 3600000, "h"},
        {OPT_DURATION, 60000, "m"},
        {OPT_DURATION, 1000, "s"},
        {OPT_DURATION, 1, "ms"},
        {OPT_NUMBER, 1, ""},
    };
    size_t i = 0;

    while (units[i].type != type || bound % units[i].factor != 0)
        i++;
    snprintf(buffer, 32, "%" PRIu64 "%s", bound / units[i].factor, units[i].unit);
    return buffer;
}

static void describe_type(const struct option *row, struct text *markdown)
{
    static const char *const names[] = {
        [OPT_TEXT] = "text", [OPT_BOOL] = "`true` or `false`", [OPT_NUMBER] = "number",
        [OPT_SIZE] = "size", [OPT_DURATION] = "duration",      [OPT_CHOICE] = "",
        [OPT_LIST] = "list", [OPT_NOT_YET] = "not yet",
    };
    char least[32];
    char most[32];

    text_add(markdown, "%s", names[row->type]);
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
        text_add(markdown, "%s`%s`", i == 0 ? "" : ", ", row->choices[i]);
    if (row->max > 0)
        text_add(markdown, ", %s to %s", option_show_bound(row->type, row->min, least),
                 option_show_bound(row->type, row->max, most));
}

void option_describe(const struct option *rows, struct text *markdown)
{
    text_add(markdown, "| key | type | default | what |\n|---|---|---|---|\n");
    for (const struct option *row = rows; row->key != NULL; row++) {
        if ((row->flags & OPT_HIDDEN) != 0)
            continue;
        text_add(markdown, "| `%s`", row->key);
        if ((row->flags & OPT_SECRET) != 0)
            text_add(markdown, " or `%s_file`", row->key);
        text_add(markdown, " | ");
        describe_type(row, markdown);
        if (row->def != NULL)
            text_add(markdown, " | `%s` | ", *row->def == '\0' ? "\"\"" : row->def);
        else
            text_add(markdown, " | %s | ", (row->flags & OPT_REQUIRED) != 0 ? "required" : "");
        text_add(markdown, "%s |\n", row->help);
    }
}
