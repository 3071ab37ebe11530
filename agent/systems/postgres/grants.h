// SPDX-License-Identifier: Apache-2.0
// The SQL that gives a component's users the rights they need, for `check --grants`.
#pragma once

#include "system.h"

/* One line for each statement. */
int pg_grants(const struct component_options *component, check_fn *line, void *arg,
              struct err *err);
