// SPDX-License-Identifier: Apache-2.0
// The rows. What has no row: restored_from (null or an object), objects, their stored_bytes and
// pieces, and facts, which is whatever the system put there.
#include "manifest_fields.h"

#define FIELDS_END                                                                                 \
    {                                                                                              \
        .key = NULL                                                                                \
    }
#define AT(member) .offset = offsetof(struct manifest, member)

const struct field manifest_fields[] = {
    {.key = "format", .form = FORM_FIXED, .fixed = "1"},
    {.key = "id", .form = FORM_ID, AT(id)},
    {.key = "component", .form = FORM_NAME, AT(component)},
    {"identity", "cluster", FORM_NAME, AT(cluster)},
    {"identity", "namespace", FORM_NAME, AT(namespace_)},
    {"identity", "workload", FORM_NAME_OR_NULL, AT(workload)},
    {"identity", "pod", FORM_NAME_OR_NULL, AT(pod)},
    {"system", "name", FORM_NAME, AT(system)},
    {"system", "version", FORM_TEXT, AT(system_version)},
    {"system", "lineage", FORM_NAME, AT(lineage)},
    {.key = "agent_version", .form = FORM_TEXT, AT(agent_version)},
    {.key = "kind", .form = FORM_KIND, AT(parent)},
    {.key = "parent", .form = FORM_PARENT, AT(parent)},
    {.key = "started", .form = FORM_TIME, AT(started_ms)},
    {.key = "recovery_point", .form = FORM_TIME, AT(recovery_point_ms)},
    {.key = "ended", .form = FORM_TIME, AT(ended_ms)},
    {"time", "source_ms", FORM_NUMBER, AT(source_ms)},
    {"time", "lifeboat_ms", FORM_NUMBER, AT(lifeboat_ms)},
    {"time", "store_ms", FORM_NUMBER, AT(store_ms)},
    FIELDS_END,
};

const struct field restored_from_fields[] = {
    {.key = "lineage", .form = FORM_NAME, AT(restored_from_lineage)},
    {.key = "backup", .form = FORM_NAME, AT(restored_from_backup)},
    FIELDS_END,
};

#undef AT
#define AT(member) .offset = offsetof(struct manifest_object, member)

const struct field object_fields[] = {
    {.key = "name", .form = FORM_PATH, AT(name)},
    {.key = "format", .form = FORM_TEXT, AT(format)},
    {.key = "codec", .form = FORM_NAME, AT(codec)},
    {.key = "plain_bytes", .form = FORM_NUMBER, AT(plain_bytes)},
    {.key = "plain_sha256", .form = FORM_SHA256, AT(plain_sha256)},
    FIELDS_END,
};

const struct field object_tail_fields[] = {
    {.key = "recipients", .form = FORM_FIXED, .fixed = "[]"},
    FIELDS_END,
};

#undef AT
#define AT(member) .offset = offsetof(struct manifest_piece, member)

const struct field piece_fields[] = {
    {.key = "name", .form = FORM_PATH, AT(name)},
    {.key = "bytes", .form = FORM_NUMBER, AT(bytes)},
    {.key = "sha256", .form = FORM_SHA256, AT(sha256)},
    FIELDS_END,
};

#undef AT
