// SPDX-License-Identifier: Apache-2.0
// A store that could not be opened, where work goes on without it: every call answers with why.
#pragma once

#include "store.h"

/* Copies. */
struct store *absent_store_new(const char *name, const struct err *why);
