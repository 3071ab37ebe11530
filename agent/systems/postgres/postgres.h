// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: pg_dump as the source, pg_restore as the sink, libpq for what they do not know.
#pragma once

#include "system.h"

extern const struct system_ops postgres_system;
