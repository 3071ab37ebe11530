// SPDX-License-Identifier: Apache-2.0
// For clang-tidy only, included before everything but common/err.c: its analyzer looks at one file
// at a time, does not see that these always return -1, and would follow paths that do not exist.
#pragma once

#include "../common/err.h"

#define err_set(...)       (err_set(__VA_ARGS__), -1)
#define err_set_errno(...) (err_set_errno(__VA_ARGS__), -1)
#define err_wrap(...)      (err_wrap(__VA_ARGS__), -1)
