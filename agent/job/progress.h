// SPDX-License-Identifier: Apache-2.0
// The progress line: bytes, rate, elapsed time, and the share where the size is known. Only where
// standard error is a terminal; elsewhere log lines tell what happened.
#pragma once

#include "pump.h"

#include <stdbool.h>

struct progress {
    struct pump_watcher watcher; /* give this to the pump */
    const char *what;            /* lent: "backup orders-db" */
    bool inwards;                /* plain bytes are those of the source, else those of the sink */
    uint64_t total_bytes;        /* 0: not known */
    int64_t began_us;
    bool on_terminal;
    bool shown;
};

void progress_init(struct progress *progress, const char *what, bool inwards, uint64_t total_bytes);
/* Takes the line away. */
void progress_fini(struct progress *progress);

/* "source 91 %, store 6 %, lifeboat 3 %"; buffer of 64 bytes; returns it. */
const char *progress_shares(int64_t source, int64_t store, int64_t lifeboat, char *buffer);
