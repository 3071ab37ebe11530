// SPDX-License-Identifier: Apache-2.0
// `collector:` and `http:`, which only the daemon uses; for options.c only, whose header has the
// struct.
#pragma once

#include "options.h"

extern const struct option collector_option_rows[];
extern const struct option http_option_rows[];

/* Both sections are optional; what they must have counts only where they are. */
int daemon_options_read(const struct option_node *root, struct agent_options *options,
                        struct err *err);
void daemon_options_free(struct agent_options *options);
