// SPDX-License-Identifier: Apache-2.0
// lifeboat-job: one job in the foreground, for lifeboat-agent. Logs go to standard error, results
// to standard output.
#include "cancel.h"
#include "channel.h"
#include "commands.h"
#include "file.h"
#include "job.h"
#include "log.h"

#include <curl/curl.h>
#include <ev.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(const struct err *err)
{
    log_err("lifeboat-agent failed", err, NULL, 0);
    return err_kind_exit_status(err->kind);
}

/* The daemon hands over the bytes that it has checked, in a file without a name of its own. */
static int load(const struct invocation *in, struct agent_options **options, struct err *err)
{
    const char *name = channel_config_name();
    char *data = NULL;
    size_t len = 0;
    int rc;

    if (name == NULL)
        return agent_options_load(in->config_path, options, err);
    if (file_read(in->config_path, OPTION_FILE_MAX_BYTES, &data, &len, err) < 0)
        return -1;
    rc = agent_options_parse(name, data, len, options, err);
    free(data);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct invocation in;
    const struct command *command = NULL;
    struct job job = {.in = &in};
    int status;

    setlocale(LC_CTYPE, "C.UTF-8");
    cancel_install();
    channel_open();
    if (command_line_read(argc, argv, &command, &in, &err) < 0)
        return fail(&err);
    if (command == NULL)
        return 0;
    if (load(&in, &job.options, &err) < 0)
        return fail(&err);
    /* A person at a terminal has the progress line and the results. */
    if (isatty(STDERR_FILENO) == 1 && job.options->log.level == LOG_INFO)
        job.options->log.level = LOG_WARN;
    log_options_apply(&job.options->log);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    /* Not the default loop: that one would reap the children of the systems. */
    job.loop = ev_loop_new(EVFLAG_AUTO);
    status = command->run(&job);
    ev_loop_destroy(job.loop);
    curl_global_cleanup();
    agent_options_free(job.options);
    return status;
}
