// SPDX-License-Identifier: Apache-2.0
// run: named in the design, and not there yet.
#include "commands.h"
#include "job.h"
#include "log.h"

int cmd_not_yet(struct job *job)
{
    struct err err = ERR_INIT;

    err_set(&err, ERR_NOT_YET, "%s comes with the daemon", job->in->command);
    log_err("lifeboat-agent failed", &err, NULL, 0);
    return err_kind_exit_status(err.kind);
}
