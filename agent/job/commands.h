// SPDX-License-Identifier: Apache-2.0
// The commands of lifeboat-agent that are one job each: the table, and reading the command line by
// it. Each cmd/NAME.c gives one function, thin over the parts of this folder.
#pragma once

#include "err.h"
#include "invocation.h"

struct job;

enum command_flag {
    FLAG_STORE = 1 << 0,
    FLAG_FROM = 1 << 1,
    FLAG_TO = 1 << 2,
    FLAG_ALL = 1 << 3,
    FLAG_YES = 1 << 4,
    FLAG_DRY_RUN = 1 << 5,
    FLAG_GRANTS = 1 << 6,
    FLAG_GLOBALS = 1 << 7,
    FLAG_LEAVE_REPLICATION = 1 << 8,
    FLAG_DROP_OLD = 1 << 9,
    FLAG_NO_SAFETY = 1 << 10,
    FLAG_IF_EMPTY = 1 << 11,
    FLAG_FULL = 1 << 12,
    FLAG_TOPIC = 1 << 13,
    FLAG_TO_TOPIC = 1 << 14,
    FLAG_UNTIL = 1 << 15,
    FLAG_APPEND = 1 << 16,
    FLAG_REPLACE = 1 << 17,
};

struct command {
    const char *name;
    const char *arguments; /* as in the usage line */
    const char *help;
    unsigned flags;
    int (*run)(struct job *job); /* the exit status; NULL: not a job, lifeboat-agent does it */
};

extern const struct command commands[]; /* name NULL at the end */

/* What was asked for. Sets *command to NULL when help or the version was printed. *in lends from
 * argv. ERR_USAGE otherwise says what is wrong. */
int command_line_read(int argc, char **argv, const struct command **command, struct invocation *in,
                      struct err *err);

int cmd_check(struct job *job);
int cmd_backup(struct job *job);
int cmd_list(struct job *job);
int cmd_show(struct job *job);
int cmd_verify(struct job *job);
int cmd_restore(struct job *job);
int cmd_drill(struct job *job);
int cmd_prune(struct job *job);
int cmd_adopt(struct job *job);
int cmd_upload(struct job *job);
