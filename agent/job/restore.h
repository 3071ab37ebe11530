// SPDX-License-Identifier: Apache-2.0
// A restore or a drill: the objects of a backup into a place of the system's, proven there, and for
// a restore put in the place of what is live.
#pragma once

#include "ancestry.h"

#include <jansson.h>

struct restore_wish {
    const char *to;               /* NULL: replace what is live */
    const char *topic, *to_topic; /* as restore_request says; so is the time */
    int64_t until_ms;
    bool append, replace;
    bool scratch, globals, leave_replication, drop_old;
    bool no_safety; /* no backup of what is live, where the system loses it early */
    /* Shows the stake and answers whether to go on; NULL: go on. Returns 0, or -1 with err. */
    int (*ask)(void *arg, const char *stake, struct err *err);
    void *arg;
};

/* The last of the ancestry. findings: what was counted and done, an object (lent). */
int restore_run(const struct ancestry *ancestry, const struct restore_wish *wish, json_t *findings,
                struct err *err);
