// SPDX-License-Identifier: Apache-2.0
// Which stages a byte passes, in phase order: inwards for a backup, the same backwards for whatever
// reads one.
#pragma once

#include "options.h"
#include "pump.h"
#include "stages.h"

struct chain {
    struct stage *stages[PUMP_MAX_STAGES]; /* for pump_new, which takes them */
    size_t count;
};

/* Plain bytes to stored bytes. plain (lent) is filled when the stream has ended. */
struct chain chain_inwards(enum codec codec, int level, struct digest_result *plain);

/* Stored bytes to plain bytes, which must be as expected. codec as in a manifest; what names the
 * object in errors. ERR_CORRUPT for a codec that is not known. */
int chain_outwards(const char *codec, const struct digest_result *expected, const char *what,
                   struct chain *chain, struct err *err);

/* "zstd", "gzip", "none" for a manifest; ".zst", ".gz", "" for a file name. */
const char *codec_name(enum codec codec);
const char *codec_suffix(enum codec codec);
