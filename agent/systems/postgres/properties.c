// SPDX-License-Identifier: Apache-2.0
// What belongs to a database itself and is in no dump without -C: settings, also of roles in it,
// rights, comment, limits. All of it is put on while the database has its new name, compared with
// the manifest, and goes through the swap with it.
#include "restoring.h"

#include "facts.h"
#include "log.h"
#include "manifest.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Settings whose value is a list of quoted names: the text as it is stored is a list already, and
 * SET ... TO 'text' would make one name of it. (GUC_LIST_QUOTE in PostgreSQL's sources, which for
 * the same reason are fixed for ever.) */
static bool is_name_list(const char *setting)
{
    static const char *const lists[] = {"local_preload_libraries",   "search_path",
                                        "session_preload_libraries", "shared_preload_libraries",
                                        "temp_tablespaces",          "unix_socket_directories"};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (strcasecmp(setting, lists[i]) == 0)
            return true;
    return false;
}

/* "our.setting" as "our"."setting". */
static char *quote_setting(const char *setting)
{
    struct text quoted = TEXT_INIT;
    const char *at = setting;

    for (;;) {
        size_t len = strcspn(at, ".");
        char *part = mem_strndup(at, len);
        char *one = pg_quote_name(part);

        text_add(&quoted, "%s%s", at == setting ? "" : ".", one);
        free(one);
        free(part);
        if (at[len] == '\0')
            return text_take(&quoted);
        at += len + 1;
    }
}

/* target: "DATABASE x" or "ROLE r IN DATABASE x". line: "name=value". */
static int put_setting(struct restoring *restoring, const char *target, const char *line,
                       struct err *err)
{
    const char *equals = strchr(line, '=');
    char *setting, *name, *value;
    int rc;

    if (equals == NULL)
        return err_set(err, ERR_CORRUPT, "a setting without a value in the manifest");
    setting = mem_strndup(line, (size_t)(equals - line));
    name = quote_setting(setting);
    value = pg_quote_text(equals + 1);
    if (is_name_list(setting)) {
        char *quoted = pg_quote_text(setting);

        rc = pg_execf(restoring->inside, err,
                      "BEGIN; SELECT pg_catalog.set_config(%s, %s, true);"
                      " ALTER %s SET %s FROM CURRENT; COMMIT",
                      quoted, value, target, name);
        if (rc < 0) {
            struct err ignored = ERR_INIT;

            pg_exec(restoring->inside, &ignored, "ROLLBACK");
        }
        free(quoted);
    } else {
        rc = pg_execf(restoring->inside, err, "ALTER %s SET %s TO %s", target, name, value);
    }
    if (rc < 0)
        err_wrap(err, "setting %s", setting);
    free(setting);
    free(name);
    free(value);
    return rc;
}

static int put_settings(struct restoring *restoring, const char *role, const json_t *lines,
                        struct err *err)
{
    char *database = pg_quote_name(restoring->made);
    char *quoted_role = role == NULL ? NULL : pg_quote_name(role);
    char *target = role == NULL ? text_format("DATABASE %s", database)
                                : text_format("ROLE %s IN DATABASE %s", quoted_role, database);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));

        rc = line == NULL ? err_set(err, ERR_CORRUPT, "a setting that is no text in the manifest")
                          : put_setting(restoring, target, line, err);
    }
    free(database);
    free(quoted_role);
    free(target);
    return rc;
}

static int put_all_settings(struct restoring *restoring, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    json_t *of_roles = (json_t *)(uintptr_t)pg_fact(manifest, "database", "role_settings");
    const char *role;
    json_t *lines;

    if (put_settings(restoring, NULL, pg_fact(manifest, "database", "settings"), err) < 0)
        return -1;
    json_object_foreach (of_roles, role, lines)
        if (put_settings(restoring, role, lines, err) < 0)
            return err_wrap(err, "role %s", role);
    return 0;
}

static bool is_privilege(const char *word)
{
    return word != NULL && (strcmp(word, "CONNECT") == 0 || strcmp(word, "CREATE") == 0 ||
                            strcmp(word, "TEMPORARY") == 0);
}

static int put_grant(struct restoring *restoring, const char *owner, const json_t *item,
                     struct err *err)
{
    const char *privilege = json_string_value(json_object_get(item, "privilege"));
    const char *grantor = json_string_value(json_object_get(item, "grantor"));
    const char *grantee = json_string_value(json_object_get(item, "grantee"));
    bool by_owner = grantor == NULL || strcmp(grantor, owner) == 0;
    char *database = pg_quote_name(restoring->made);
    char *to = grantee == NULL ? mem_strdup("PUBLIC") : pg_quote_name(grantee);
    char *by = by_owner ? NULL : pg_quote_name(grantor);
    struct err ignored = ERR_INIT;
    int rc = -1;

    if (!is_privilege(privilege)) {
        err_set(err, ERR_CORRUPT, "a privilege that databases do not have in the manifest");
        goto out;
    }
    if (by != NULL && pg_execf(restoring->inside, err, "SET ROLE %s", by) < 0)
        goto out;
    rc = pg_execf(restoring->inside, err, "GRANT %s ON DATABASE %s TO %s%s", privilege, database,
                  to, json_is_true(json_object_get(item, "grantable")) ? " WITH GRANT OPTION" : "");
    if (by != NULL && pg_exec(restoring->inside, rc < 0 ? &ignored : err, "RESET ROLE") < 0)
        rc = -1;
out:
    if (rc < 0)
        err_wrap(err, "grant to %s", grantee == NULL ? "PUBLIC" : grantee);
    free(database);
    free(to);
    free(by);
    return rc;
}

/* Whoever grants must have been granted that right before. */
static bool may_grant(const json_t *acl, const bool *done, const json_t *item, const char *owner)
{
    const char *grantor = json_string_value(json_object_get(item, "grantor"));

    if (grantor == NULL || strcmp(grantor, owner) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(acl); i++) {
        const json_t *other = json_array_get(acl, i);

        if (done[i] && json_is_true(json_object_get(other, "grantable")) &&
            json_equal(json_object_get(other, "privilege"), json_object_get(item, "privilege")) &&
            json_equal(json_object_get(other, "grantee"), json_object_get(item, "grantor")))
            return true;
    }
    return false;
}

static int put_rights(struct restoring *restoring, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    const json_t *acl = pg_fact(manifest, "database", "acl");
    const char *owner = pg_fact_text(manifest, "database", "owner");
    size_t count = json_array_size(acl), left = count;
    char *database, *quoted_owner;
    bool *done;
    int rc;

    if (!json_is_array(acl) || owner == NULL) /* the default rights, which it has */
        return 0;
    database = pg_quote_name(restoring->made);
    quoted_owner = pg_quote_name(owner);
    rc = pg_execf(restoring->inside, err, "REVOKE ALL ON DATABASE %s FROM PUBLIC, %s", database,
                  quoted_owner);
    free(database);
    free(quoted_owner);
    done = mem_calloc(count + 1, sizeof *done);
    for (bool moved = true; rc == 0 && left > 0 && moved;) {
        moved = false;
        for (size_t i = 0; rc == 0 && i < count; i++) {
            const json_t *item = json_array_get(acl, i);

            if (done[i] || !may_grant(acl, done, item, owner))
                continue;
            rc = put_grant(restoring, owner, item, err);
            done[i] = moved = true;
            left--;
        }
    }
    if (rc == 0 && left > 0)
        rc = err_set(err, ERR_CORRUPT, "rights in the manifest that nobody could have granted");
    free(done);
    return rc;
}

static int put_comment(struct restoring *restoring, struct err *err)
{
    const char *comment = pg_fact_text(restoring->request.manifest, "database", "comment");
    char *database, *text;
    int rc;

    if (comment == NULL)
        return 0;
    database = pg_quote_name(restoring->made);
    text = pg_quote_text(comment);
    rc = pg_execf(restoring->inside, err, "COMMENT ON DATABASE %s IS %s", database, text);
    free(database);
    free(text);
    return rc;
}

/* A comment and the values of settings are kept in the encoding of the database in which they were
 * given, and the facts were asked for in the one that they are of. */
static int go_inside(struct restoring *restoring, struct err *err)
{
    return pg_session_open("restore_conninfo",
                           restoring->request.component->postgres.restore_conninfo, restoring->made,
                           pg_session_deadline(restoring->session), &restoring->inside, err);
}

static void leave(struct restoring *restoring)
{
    pg_session_close(restoring->inside);
    restoring->inside = NULL;
}

int pg_apply_properties(struct restoring *restoring, struct err *err)
{
    int rc = go_inside(restoring, err);

    if (rc == 0 && (put_all_settings(restoring, err) < 0 || put_rights(restoring, err) < 0 ||
                    put_comment(restoring, err) < 0))
        rc = -1;
    leave(restoring);
    return rc < 0 ? err_wrap(err, "properties of the database") : 0;
}

/* Not compared: what tells the two apart by nature, and what the swap itself puts on. */
static bool is_own(const char *key)
{
    return strcmp(key, "name") == 0 || strcmp(key, "size_bytes") == 0 ||
           strcmp(key, "is_template") == 0;
}

/* The order of rights means nothing. */
static bool is_same(const char *key, const json_t *is, const json_t *was)
{
    bool same = true;

    if (strcmp(key, "acl") != 0 || !json_is_array(is) || !json_is_array(was))
        return json_equal(is, was);
    for (size_t i = 0; same && i < json_array_size(was); i++) {
        bool found = false;

        for (size_t j = 0; !found && j < json_array_size(is); j++)
            found = json_equal(json_array_get(was, i), json_array_get(is, j));
        same = found;
    }
    return same && json_array_size(is) == json_array_size(was);
}

static int say_difference(const char *key, const json_t *is, const json_t *was, struct err *err)
{
    char *is_text = json_dumps(is, JSON_ENCODE_ANY | JSON_COMPACT);
    char *was_text = json_dumps(was, JSON_ENCODE_ANY | JSON_COMPACT);

    err_set(err, ERR_MISMATCH, "%s of the database is %.300s, in the backup %.300s", key, is_text,
            was_text);
    free(is_text);
    free(was_text);
    return -1;
}

static int compare(struct restoring *restoring, struct err *err)
{
    json_t *expected = (json_t *)(uintptr_t)pg_fact(restoring->request.manifest, "database", NULL);
    json_t *found = NULL;
    const char *key;
    json_t *value;
    int rc = 0;

    if (pg_database_facts(restoring->inside, restoring->made, &found, err) < 0)
        return -1;
    /* Whatever both versions of lifeboat know of. */
    json_object_foreach (expected, key, value) {
        json_t *is = json_object_get(found, key);

        if (rc == 0 && is != NULL && !is_own(key) && !is_same(key, is, value))
            rc = say_difference(key, is, value, err);
    }
    if (rc == 0 && !json_is_object(found))
        rc = err_set(err, ERR_MISMATCH, "database %s is gone", restoring->made);
    json_decref(found);
    return rc;
}

/* The limits come last: they could keep out those who restore. */
int pg_finish_properties(struct restoring *restoring, struct err *err)
{
    const struct manifest *manifest = restoring->request.manifest;
    long long limit = pg_fact_number(manifest, "database", "connection_limit", -1);
    char *database = pg_quote_name(restoring->made);
    int rc = go_inside(restoring, err);

    if (rc == 0 && limit != -1)
        rc = pg_execf(restoring->inside, err, "ALTER DATABASE %s CONNECTION LIMIT %lld", database,
                      limit);
    if (rc < 0)
        err_wrap(err, "properties of the database");
    else
        rc = compare(restoring, err);
    leave(restoring);
    free(database);
    return rc;
}
