// SPDX-License-Identifier: Apache-2.0
// Metrics as text: the exposition format of Prometheus, version 0.0.4.
#pragma once

#include "text.h"

#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metric_label {
    const char *name, *value; /* value: any text; it is escaped */
};

/* The HELP and TYPE lines; its samples must follow. type: "gauge" or "counter". */
void metric_family(struct text *out, const char *name, const char *type, const char *help);
void metric_sample(struct text *out, const char *name, const struct metric_label *labels,
                   size_t label_count, double value);
/* Family and its only sample, without labels. */
void metric_single(struct text *out, const char *name, const char *type, const char *help,
                   double value);
