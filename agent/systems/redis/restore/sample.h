// SPDX-License-Identifier: Apache-2.0
// A sample of the keys of an RDB file, taken as its bytes pass by on their way into a server, and
// held against what the server then says of them.
#pragma once

#include "conn.h"

#include <jansson.h>

struct sample;

/* Of a file with so many keys. */
struct sample *sample_new(uint64_t keys);
/* NULL is allowed. */
void sample_free(struct sample *sample);
/* A sink before another (which it takes): the sample sees what that one takes. */
struct sink *sample_sink_new(struct sample *sample, struct sink *next);
/* Type and expiry of each sampled key are those of the file; ERR_MISMATCH names the first that
 * differs. findings gets "sample": how many, and a digest over them and their values, which is the
 * same whenever the same backup is loaded. */
int sample_check(const struct sample *sample, struct redis_conn *conn, json_t *findings,
                 struct err *err);
