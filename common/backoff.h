// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next attempt: full jitter, a random share of a span that doubles with
// each attempt that failed, so that many who failed together do not come back together.
#pragma once

#include <stdint.h>

/* failed: attempts so far, at least 1. first_ms: the span after the first of them; most_ms: what
 * it never exceeds. 0 to most_ms. */
int64_t backoff_ms(unsigned failed, int64_t first_ms, int64_t most_ms);
