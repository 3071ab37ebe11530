// SPDX-License-Identifier: Apache-2.0
// What can be configured of a Postgres component. The rows stand apart from the rest of the system
// so that a configuration can be checked without linking libpq.
#pragma once

#include "option.h"

struct postgres_options {
    char *conninfo;         /* secret: may hold a password */
    char *restore_conninfo; /* secret; NULL: restore and drill are refused */
    char *tools;            /* folder of pg_dump, pg_restore, pg_dumpall; NULL: chosen by version */
    bool globals;
    int64_t lock_timeout_ms;
};

extern const struct option postgres_option_rows[];
