// SPDX-License-Identifier: Apache-2.0
// Reports that wait for the collector, a file each in <state_path>/reports, named by their sequence
// number. A number is written down as used before its report is, so none is ever used twice, not
// even by a process that died between the two; the collector knows a report by the instance (16
// random bytes, as old as the state folder) and the number.
#pragma once

#include "err.h"
#include "wire.h"

#include <stddef.h>

#define QUEUE_INSTANCE_BYTES 16
#define QUEUE_MAX_REPORTS    20000

/* Reads the instance of this state folder, or makes it. */
int queue_instance(const char *state_path, uint8_t instance[QUEUE_INSTANCE_BYTES], struct err *err);

/* Numbers the report and keeps it; of more than QUEUE_MAX_REPORTS the oldest goes, which is logged.
 * The caller holds the journal's lock. */
int queue_add(const char *state_path, lifeboat_v1_Report *report, struct err *err);

/* The lowest numbers above after, rising; at most cap. *total: how many wait in all. */
int queue_list(const char *state_path, uint64_t after, uint64_t *sequences, size_t cap,
               size_t *count, size_t *total, struct err *err);
/* ERR_NOT_FOUND when it is gone; one that cannot be understood is ERR_CORRUPT. */
int queue_read(const char *state_path, uint64_t sequence, lifeboat_v1_Report *report,
               struct err *err);
/* The collector has them: removes all up to sequence. */
int queue_forget(const char *state_path, uint64_t sequence, struct err *err);
