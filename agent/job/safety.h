// SPDX-License-Identifier: Apache-2.0
// The backup of what is live, taken and proven right before a restore takes its place.
#pragma once

#include "site.h"

#include <jansson.h>

/* In the component's own store or, when that is away, in the fallback, whatever site is read from.
 * Its id goes into findings as "safety_backup". */
int safety_take(const struct site *site, json_t *findings, struct err *err);
