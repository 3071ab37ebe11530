// SPDX-License-Identifier: Apache-2.0
// One item of `components:`; for options.c only, whose header has the struct.
#pragma once

#include "options.h"

struct text;

/* component must be zeroed. The stores of options must have been read. On failure component may be
 * filled in part; component_options_free is right either way. */
int component_options_read(const struct option_node *node, const struct agent_options *options,
                           struct component_options *component, struct err *err);
/* Frees what component owns, not component itself. */
void component_options_free(struct component_options *component);
void component_options_describe(struct text *markdown);
