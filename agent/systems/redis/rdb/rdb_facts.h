// SPDX-License-Identifier: Apache-2.0
// What an RDB file holds, as manifests and findings say it.
#pragma once

#include "rdb.h"

#include <jansson.h>

/* {"version": 10, "checksum": true, "functions": n, "databases": {"0": {"keys": N, "expires": M,
 * "types": {"string": N, ...}}}}; databases and types that have no key are left out. */
json_t *redis_facts_json(const struct rdb_facts *facts);
