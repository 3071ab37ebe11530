// SPDX-License-Identifier: Apache-2.0
// What would make a backup or a restore of this database fail, found before it is needed.
#pragma once

#include "system.h"

/* As system.h says of check. */
int pg_check(const struct agent_options *options, const struct component_options *component,
             bool grants, check_fn *line, void *arg, struct err *err);
