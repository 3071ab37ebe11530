// SPDX-License-Identifier: Apache-2.0
// Ids of backups, and of jobs: in the order of time as they sort.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BACKUP_ID_CAP 32 /* "20261123T071500Z-7f3a9c" and its end */

/* A new id for a job that starts now: UTC time, and a tail of the millisecond and three random
 * digits, so that ids sort by time also within a second. id has BACKUP_ID_CAP bytes. */
void backup_id_make(int64_t wall_ms, char *id);
/* Of the form, and nothing else: safe in a key. */
bool backup_id_valid(const char *id);
