// SPDX-License-Identifier: Apache-2.0
// The steps themselves. message: a lifeboat.v1.Component or Report as it goes over the wire, so
// that a field that is new there needs no new column.
#include "sqlite_schema.h"

const char *const sqlite_schema[SQLITE_SCHEMA_VERSION] = {
    "CREATE TABLE agent ("
    "  instance BLOB NOT NULL PRIMARY KEY,"
    "  cluster TEXT NOT NULL,"
    "  namespace TEXT NOT NULL,"
    "  workload TEXT NOT NULL,"
    "  pod TEXT NOT NULL,"
    "  peer TEXT NOT NULL," /* common name of its certificate */
    "  version TEXT NOT NULL,"
    "  first_seen_ms INTEGER NOT NULL,"
    "  last_seen_ms INTEGER NOT NULL,"
    "  sequence INTEGER NOT NULL," /* reports up to here are committed */
    "  heard INTEGER NOT NULL,"    /* a heartbeat came: the next two are known */
    "  config_valid INTEGER NOT NULL,"
    "  fallback_bytes INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE component ("
    "  instance BLOB NOT NULL,"
    "  name TEXT NOT NULL,"
    "  system TEXT NOT NULL,"
    "  message BLOB NOT NULL,"
    "  PRIMARY KEY (instance, name)"
    ");"
    "CREATE TABLE report ("
    "  instance BLOB NOT NULL,"
    "  sequence INTEGER NOT NULL,"
    "  received_ms INTEGER NOT NULL,"
    "  cluster TEXT NOT NULL,"
    "  namespace TEXT NOT NULL,"
    "  pod TEXT NOT NULL,"
    "  component TEXT NOT NULL,"
    "  kind INTEGER NOT NULL,"    /* lifeboat.v1.JobKind */
    "  outcome INTEGER NOT NULL," /* lifeboat.v1.Outcome */
    "  started_ms INTEGER NOT NULL,"
    "  ended_ms INTEGER NOT NULL,"
    "  backup TEXT NOT NULL,"
    "  message BLOB NOT NULL,"
    "  PRIMARY KEY (instance, sequence)"
    ");"
    "CREATE INDEX report_received ON report (received_ms);"
    "CREATE TABLE written (at_ms INTEGER NOT NULL);"
    "INSERT INTO written VALUES (0);",
};
