// SPDX-License-Identifier: Apache-2.0
// lifeboat-agent: the daemon, and the front of the command line. Each command but `run` is one job,
// and a job is a process of lifeboat-job.
#include "err.h"
#include "program.h"
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/lifeboat/agent.yaml"

static void print_help(FILE *to)
{
    fprintf(to,
            "usage: lifeboat-agent run [-c FILE]\n"
            "the daemon: jobs on their schedules, health and metrics, reports to the collector\n"
            "-c FILE   the configuration (%s); a change of it is noticed\n"
            "SIGHUP looks at configuration and schedules at once; SIGTERM ends all within 2 s\n",
            DEFAULT_CONFIG);
}

/* argv[0] is "run". */
static int run(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *config_path = DEFAULT_CONFIG;
    int code;

    while ((code = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (code == 'h') {
            print_help(stdout);
            return 0;
        }
        if (code != 'c') {
            print_help(stderr);
            return err_kind_exit_status(ERR_USAGE);
        }
        config_path = optarg;
    }
    if (optind < argc) {
        print_help(stderr);
        return err_kind_exit_status(ERR_USAGE);
    }
    return run_daemon(config_path);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    char *job;

    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return run(argc - 1, argv + 1);
    job = program_find(PROGRAM_JOB, &err);
    if (job != NULL) {
        execv(job, argv);
        err_set_errno(&err, errno, "%s", job);
        free(job);
    }
    fprintf(stderr, "lifeboat-agent: %s\n", err.text);
    return 1;
}
