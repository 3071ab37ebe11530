// SPDX-License-Identifier: Apache-2.0
// The configuration that the daemon goes by: the last one that was good. Jobs are handed its bytes,
// so that a file which was broken meanwhile breaks no job.
#pragma once

#include "err.h"
#include "options.h"

#include <stdbool.h>

struct config {
    const char *path;              /* lent */
    struct agent_options *options; /* owned; replaced by config_look */
    int fd;                        /* the bytes of options, for jobs */
    bool valid;                    /* what the file says now is what is in force, or may be */
    char *seen; /* what the file said when last looked at; NULL: it could not be read */
    size_t seen_bytes;
};

/* path is lent. ERR_CONFIG and so on when the file is wrong: there is no old one to go on with. */
int config_open(const char *path, struct config *config, struct err *err);
void config_close(struct config *config);

/* Has the file changed? A new one is checked: 1 when it was adopted (the old options are the
 * caller's to free, once nothing lends from them), 0 when nothing changed or it
 * was refused, which is logged once and makes valid false. */
int config_look(struct config *config);
