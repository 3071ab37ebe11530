// SPDX-License-Identifier: Apache-2.0
// The form of a schedule: five cron fields in UTC, or "@every 15m". Only checked here; the daemon
// reckons with it.
#pragma once

#include "err.h"

/* 0, or ERR_CONFIG with the second half of a sentence ("has 4 fields; ..."), as an option's check
 * wants it. A schedule that no calendar ever meets (31 February) is refused too. */
int schedule_check(const char *schedule, struct err *err);
