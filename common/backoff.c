// SPDX-License-Identifier: Apache-2.0
// The span, and the share of it.
#include "backoff.h"

#include <stdlib.h>

int64_t backoff_ms(unsigned failed, int64_t first_ms, int64_t most_ms)
{
    int64_t span_ms = first_ms;

    for (unsigned i = 1; i < failed && span_ms < most_ms; i++)
        span_ms *= 2;
    return arc4random_uniform((uint32_t)(span_ms < most_ms ? span_ms : most_ms) + 1);
}
