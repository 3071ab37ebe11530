// SPDX-License-Identifier: Apache-2.0
// The facts of an RDB file as JSON.
#include "rdb_facts.h"

#include <stdio.h>

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *database_json(const struct rdb_database *database)
{
    json_t *json = json_object();
    json_t *types = json_object();

    for (int i = 0; i < RDB_TYPES; i++)
        if (database->by_type[i] > 0)
            json_object_set_new(types, rdb_type_names[i], number(database->by_type[i]));
    json_object_set_new(json, "keys", number(database->keys));
    json_object_set_new(json, "expires", number(database->expires));
    json_object_set_new(json, "types", types);
    return json;
}

json_t *redis_facts_json(const struct rdb_facts *facts)
{
    json_t *json = json_object();
    json_t *databases = json_object();

    for (size_t i = 0; i < facts->database_count; i++) {
        char name[24];

        snprintf(name, sizeof name, "%llu", (unsigned long long)facts->databases[i].number);
        json_object_set_new(databases, name, database_json(&facts->databases[i]));
    }
    json_object_set_new(json, "version", number(facts->version));
    json_object_set_new(json, "checksum", json_boolean(facts->checksum));
    json_object_set_new(json, "functions", number(facts->functions));
    json_object_set_new(json, "databases", databases);
    return json;
}
