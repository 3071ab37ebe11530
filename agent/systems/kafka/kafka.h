// SPDX-License-Identifier: Apache-2.0
// Kafka as a system.
#pragma once

#include "system.h"

extern const struct system_ops kafka_system;

/* As system.h says of check. */
int kafka_check(const struct agent_options *options, const struct component_options *component,
                bool grants, check_fn *line, void *arg, struct err *err);
