// SPDX-License-Identifier: Apache-2.0
// What Prometheus asks the collector for.
#pragma once

#include "hub.h"
#include "text.h"

/* Appends the whole of /metrics. */
void metrics_write(const struct hub *hub, struct text *out);

/* docs/reference/metrics.md, whole. */
void metrics_describe(struct text *markdown);
