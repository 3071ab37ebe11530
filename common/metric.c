// SPDX-License-Identifier: Apache-2.0
// Writing the exposition format. Prometheus drops a whole scrape for one byte that is not UTF-8, so
// what comes from outside is made clean here as well.
#include "metric.h"

#include <math.h>
#include <stdint.h>

/* quoted: a label's value; else the text of HELP. */
static void add_escaped(struct text *out, const char *value, bool quoted)
{
    size_t from = out->len;

    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\n')
            text_add(out, "\\n");
        else if (*at == '\\' || (*at == '"' && quoted))
            text_add(out, "\\%c", *at);
        else
            text_add_char(out, *at);
    }
    if (out->len > from)
        text_fix_utf8(out->data + from);
}

static void add_value(struct text *out, double value)
{
    static const double exact_below = 9007199254740992.0; /* 2^53 */

    if (isnan(value))
        text_add(out, "NaN");
    else if (isinf(value))
        text_add(out, value > 0 ? "+Inf" : "-Inf");
    else if (fabs(value) <= exact_below && value == (double)(int64_t)value)
        text_add(out, "%lld", (long long)value);
    else
        text_add(out, "%.15g", value);
}

void metric_family(struct text *out, const char *name, const char *type, const char *help)
{
    text_add(out, "# HELP %s ", name);
    add_escaped(out, help, false);
    text_add(out, "\n# TYPE %s %s\n", name, type);
}

void metric_sample(struct text *out, const char *name, const struct metric_label *labels,
                   size_t label_count, double value)
{
    text_add(out, "%s", name);
    for (size_t i = 0; i < label_count; i++) {
        text_add(out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
        add_escaped(out, labels[i].value, true);
        text_add_char(out, '"');
    }
    if (label_count > 0)
        text_add_char(out, '}');
    text_add_char(out, ' ');
    add_value(out, value);
    text_add_char(out, '\n');
}

void metric_single(struct text *out, const char *name, const char *type, const char *help,
                   double value)
{
    metric_family(out, name, type, help);
    metric_sample(out, name, NULL, 0, value);
}
