// SPDX-License-Identifier: Apache-2.0
// The section `fallback:`; for options.c only, whose header has the fields.
#pragma once

#include "options.h"

extern const struct option fallback_option_rows[]; /* offsets count from struct agent_options */

/* The stores and components of options must have been read. Without the section nothing is set. */
int fallback_options_read(const struct option_node *root, struct agent_options *options,
                          struct err *err);
