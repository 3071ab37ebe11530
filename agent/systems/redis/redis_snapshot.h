// SPDX-License-Identifier: Apache-2.0
// A snapshot of Redis: its two methods, and what check has in common with it.
#pragma once

#include "conn.h"
#include "rdb.h"
#include "system.h"

/* Both make a source that feeds rdb (lent) with all that it gives, and ends only when the file is
 * whole and its checksum right. When they return, the moment of the snapshot is fixed. conn asks,
 * and may be used again afterwards. */

/* The payload of PSYNC, over a connection of its own. valkey_version: "" for Redis. */
int redis_replication_open(const struct redis_options *options, const char *valkey_version,
                           int64_t deadline_mono_us, struct rdb *rdb, struct source **source,
                           struct err *err);
/* Has the server save, waits for that, opens its file. What the file holds is not older than
 * *not_before_unix, by the server's clock. */
int redis_bgsave_open(struct redis_conn *conn, const struct redis_options *options, struct rdb *rdb,
                      int64_t *not_before_unix, struct source **source, struct err *err);

/* rdb_feed and rdb_finish for bytes that come from the server: wrong ones are its fault. */
int redis_feed(struct rdb *rdb, const uint8_t *data, size_t len, struct err *err);
int redis_feed_end(struct rdb *rdb, struct err *err);

int redis_snapshot_open(const struct snapshot_request *request, struct ev_loop *loop,
                        void **snapshot, struct err *err);
int redis_snapshot_describe(void *snapshot, struct manifest *manifest, struct err *err);
enum step redis_snapshot_next(void *snapshot, struct snapshot_object *object,
                              struct source **source, struct err *err);
int redis_snapshot_finish(void *snapshot, struct manifest *manifest, struct err *err);
void redis_snapshot_close(void *snapshot);

/* What run_on asks of a server whose INFO replication this is: 0, or ERR_ELSEWHERE. */
int redis_check_role(const struct component_options *component, const char *info, struct err *err);
int redis_check(const struct agent_options *options, const struct component_options *component,
                bool grants, check_fn *line, void *arg, struct err *err);
