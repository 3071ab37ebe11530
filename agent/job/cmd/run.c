// SPDX-License-Identifier: Apache-2.0
// run: the front, lifeboat-agent, does it and starts no job for it; here it has its line of help.
#include "commands.h"
#include "job.h"
#include "log.h"

int cmd_run(struct job *job)
{
    struct err err = ERR_INIT;

    err_set(&err, ERR_USAGE, "the daemon is lifeboat-agent %s; this program does one job",
            job->in->command);
    log_err("lifeboat-job failed", &err, NULL, 0);
    return err_kind_exit_status(err.kind);
}
