// SPDX-License-Identifier: Apache-2.0
// The starting of a child process: fork, pipes, exec, and the certainty that exec worked.
#pragma once

#include "child.h"

#include <sys/types.h>

struct spawned {
    pid_t pid;
    int pidfd;                 /* readable once it ended */
    int input, output, errors; /* our non-blocking ends; -1: not asked for */
};

/* On failure nothing is left running, and *process is untouched. */
int spawn(const struct child_spec *spec, struct spawned *process, struct err *err);
