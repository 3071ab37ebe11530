// SPDX-License-Identifier: Apache-2.0
// Where the data of this server came from, remembered between a restore and the first backup after
// it: that backup's manifest names the lineage and the backup restored.
#pragma once

#include "site.h"

/* A restore succeeded. Failing to remember it is logged, no more. */
void origin_remember(const struct site *site, const char *lineage, const char *backup_id);
/* Puts what is remembered into manifest. */
void origin_describe(const struct site *site, struct manifest *manifest);
/* The manifest is committed. */
void origin_forget(const struct site *site);
