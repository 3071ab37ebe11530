// SPDX-License-Identifier: Apache-2.0
// The tables of collector.db. Each step leads from one version of the file (user_version) to the
// next; a step that was released is never changed, what comes later is a step of its own.
#pragma once

#define SQLITE_SCHEMA_VERSION 1

extern const char *const sqlite_schema[SQLITE_SCHEMA_VERSION];
