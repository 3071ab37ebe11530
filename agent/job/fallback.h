// SPDX-License-Identifier: Apache-2.0
// The place of a component in the fallback store: the same keys as in its own store, so that an
// upload copies them as they are. Whatever is written there stays within fallback.max_bytes and
// leaves a reserve of the file system free; what does not fit is refused with ERR_NO_SPACE.
#pragma once

#include "site.h"

/* The configuration must have a fallback. One that cannot be opened says so at its first use: a
 * backup whose store is there does not need it. The site is closed as any other; until then it may
 * hold the lock that keeps two jobs from counting on the same room. */
struct site *fallback_open(const struct agent_options *options,
                           const struct component_options *component, struct ev_loop *loop);

/* Before a backup is written: takes the lock (waits until the deadline), removes what dead jobs
 * left, and from now on lets older backups go to make room. A write without it takes the lock too,
 * but nothing goes for it. */
int fallback_begin(struct site *site, int64_t deadline_mono_us, struct err *err);

struct fallback_usage {
    uint64_t used_bytes; /* all files there */
    uint64_t free_bytes; /* of the file system */
};
int fallback_usage(struct site *site, struct fallback_usage *usage, struct err *err);
