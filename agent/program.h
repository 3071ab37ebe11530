// SPDX-License-Identifier: Apache-2.0
// Where the programs of lifeboat are: in ../libexec/lifeboat beside this program's folder, or (in a
// build folder) in the same one.
#pragma once

#include "err.h"

#define PROGRAM_JOB "lifeboat-job"

/* The path of a program that can be run; free() it. NULL with ERR_IO. */
char *program_find(const char *name, struct err *err);
