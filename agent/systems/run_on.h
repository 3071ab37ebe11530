// SPDX-License-Identifier: Apache-2.0
// What run_on asks of a server that is either a primary or a replica.
#pragma once

#include "options.h"

/* 0, or ERR_ELSEWHERE. */
int run_on_check(const struct component_options *component, bool replica, struct err *err);
