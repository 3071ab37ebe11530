// SPDX-License-Identifier: Apache-2.0
// Every statement is composed from facts of a manifest, which is hostile: each name and value goes
// through the quoting of names.h, and words that cannot be quoted are taken from lists.
#include "database.h"

#include "facts.h"
#include "manifest.h"
#include "names.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const char *fact(const struct manifest *manifest, const char *key)
{
    return pg_fact_text(manifest, "database", key);
}

static void add_name(struct text *sql, const char *words, const char *name)
{
    char *quoted = name == NULL ? NULL : pg_quote_name(name);

    if (quoted != NULL)
        text_add(sql, "%s%s", words, quoted);
    free(quoted);
}

static void add_text(struct text *sql, const char *words, const char *value)
{
    char *quoted = value == NULL ? NULL : pg_quote_text(value);

    if (quoted != NULL)
        text_add(sql, "%s%s", words, quoted);
    free(quoted);
}

static void add_locale(struct text *sql, const struct manifest *manifest)
{
    const char *provider = fact(manifest, "locale_provider");

    add_text(sql, " ENCODING ", fact(manifest, "encoding"));
    add_text(sql, " LC_COLLATE ", fact(manifest, "collate"));
    add_text(sql, " LC_CTYPE ", fact(manifest, "ctype"));
    if (provider != NULL && strcmp(provider, "icu") == 0) {
        text_add(sql, " LOCALE_PROVIDER icu");
        add_text(sql, " ICU_LOCALE ", fact(manifest, "locale"));
        add_text(sql, " ICU_RULES ", fact(manifest, "icu_rules"));
    } else if (provider != NULL && strcmp(provider, "builtin") == 0) {
        text_add(sql, " LOCALE_PROVIDER builtin");
        add_text(sql, " BUILTIN_LOCALE ", fact(manifest, "locale"));
    }
}

int pg_database_create(struct pg_session *session, const struct manifest *manifest,
                       const char *name, struct err *err)
{
    struct text sql = TEXT_INIT;
    int rc;

    add_name(&sql, "CREATE DATABASE ", name);
    text_add(&sql, " WITH TEMPLATE template0");
    add_name(&sql, " OWNER ", fact(manifest, "owner"));
    add_locale(&sql, manifest);
    add_name(&sql, " TABLESPACE ", fact(manifest, "tablespace"));
    rc = pg_exec(session, err, text_str(&sql));
    if (rc < 0)
        err_wrap(err, "make database %s", name);
    text_fini(&sql);
    return rc;
}

/* The settings whose value is a list of names: as a literal they would become one quoted name, so
 * they are set in this session and taken from there (guc_tables.c, GUC_LIST_QUOTE). */
static bool is_list(const char *setting)
{
    static const char *const lists[] = {
        "search_path",
        "temp_tablespaces",
        "local_preload_libraries",
        "session_preload_libraries",
        "shared_preload_libraries",
        "unix_socket_directories",
    };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (strcmp(setting, lists[i]) == 0)
            return true;
    return false;
}

/* "a.b" is a custom setting of an extension; each part is quoted. */
static char *quote_setting(const char *setting)
{
    struct text text = TEXT_INIT;
    const char *dot;

    while ((dot = strchr(setting, '.')) != NULL) {
        char *part = text_format("%.*s", (int)(dot - setting), setting);

        add_name(&text, "", part);
        text_add_char(&text, '.');
        free(part);
        setting = dot + 1;
    }
    add_name(&text, "", setting);
    return text_take(&text);
}

static int take_from_session(struct pg_session *session, const char *alter, const char *setting,
                             const char *quoted, const char *value, struct err *err)
{
    const char *params[] = {setting, value};
    struct err ignored = ERR_INIT;
    PGresult *result = NULL;
    int rc = pg_exec(session, err, "BEGIN");

    if (rc < 0)
        return -1;
    rc = pg_query(session, "SELECT set_config($1, $2, true)", params, 2, &result, err);
    PQclear(result);
    if (rc == 0)
        rc = pg_execf(session, err, "%s SET %s FROM CURRENT", alter, quoted);
    if (rc == 0)
        return pg_exec(session, err, "COMMIT");
    pg_exec(session, &ignored, "ROLLBACK");
    return -1;
}

/* line: "name=value", as in pg_db_role_setting. alter: "ALTER DATABASE x", "ALTER ROLE ...". */
static int apply_setting(struct pg_session *session, const char *alter, const char *line,
                         struct err *err)
{
    const char *equals = strchr(line, '=');
    char *setting;
    char *quoted;
    char *value;
    int rc;

    if (equals == NULL)
        return err_set(err, ERR_CORRUPT, "the manifest has a setting without a value");
    setting = text_format("%.*s", (int)(equals - line), line);
    quoted = quote_setting(setting);
    value = pg_quote_text(equals + 1);
    rc = is_list(setting) ? take_from_session(session, alter, setting, quoted, equals + 1, err)
                          : pg_execf(session, err, "%s SET %s TO %s", alter, quoted, value);
    if (rc < 0)
        err_wrap(err, "set %s", setting);
    free(value);
    free(quoted);
    free(setting);
    return rc;
}

static int apply_lines(struct pg_session *session, const char *alter, const json_t *lines,
                       struct err *err)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));

        if (line == NULL)
            return err_set(err, ERR_CORRUPT, "the manifest has a setting that is no text");
        if (apply_setting(session, alter, line, err) < 0)
            return -1;
    }
    return 0;
}

static int apply_settings(struct pg_session *session, const struct manifest *manifest,
                          const char *database, struct err *err)
{
    json_t *roles = (json_t *)(uintptr_t)pg_fact(manifest, "database", "role_settings");
    char *alter = text_format("ALTER DATABASE %s", database);
    int rc = apply_lines(session, alter, pg_fact(manifest, "database", "settings"), err);
    const char *role;
    json_t *lines;

    free(alter);
    if (rc < 0)
        return -1;
    json_object_foreach (roles, role, lines) {
        char *quoted = pg_quote_name(role);

        alter = text_format("ALTER ROLE %s IN DATABASE %s", quoted, database);
        rc = apply_lines(session, alter, lines, err);
        free(alter);
        free(quoted);
        if (rc < 0)
            return err_wrap(err, "settings of role %s", role);
    }
    return 0;
}

static bool is_privilege(const char *word)
{
    static const char *const words[] = {"CREATE", "CONNECT", "TEMPORARY", "TEMP"};

    for (size_t i = 0; word != NULL && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* A grant of another role than the owner is made as that role, so that it is recorded as its. */
static int apply_grant(struct pg_session *session, const json_t *item, const char *owner,
                       const char *database, struct err *err)
{
    const char *privilege = json_string_value(json_object_get(item, "privilege"));
    const char *grantee = json_string_value(json_object_get(item, "grantee"));
    const char *grantor = json_string_value(json_object_get(item, "grantor"));
    bool grantable = json_is_true(json_object_get(item, "grantable"));
    char *to = grantee == NULL ? text_format("PUBLIC") : pg_quote_name(grantee);
    char *as = pg_quote_name(grantor == NULL ? owner : grantor);
    bool by_other = grantor != NULL && strcmp(grantor, owner) != 0;
    struct err ignored = ERR_INIT;
    int rc = 0;

    if (!is_privilege(privilege))
        rc = err_set(err, ERR_CORRUPT, "the manifest has a grant of no known privilege");
    if (rc == 0 && by_other)
        rc = pg_execf(session, err, "SET SESSION AUTHORIZATION %s", as);
    if (rc == 0)
        rc = pg_execf(session, err, "GRANT %s ON DATABASE %s TO %s%s", privilege, database, to,
                      grantable ? " WITH GRANT OPTION" : "");
    if (by_other && pg_exec(session, rc == 0 ? err : &ignored, "RESET SESSION AUTHORIZATION") < 0)
        rc = -1;
    free(as);
    free(to);
    return rc;
}

/* Those of the owner first: others can only pass on what they were granted. */
static int apply_grants(struct pg_session *session, const struct manifest *manifest,
                        const char *database, struct err *err)
{
    const json_t *acl = pg_fact(manifest, "database", "acl");
    const char *owner = fact(manifest, "owner");
    char *quoted_owner;
    int rc;

    if (!json_is_array(acl) || owner == NULL)
        return 0;
    quoted_owner = pg_quote_name(owner);
    rc =
        pg_execf(session, err, "REVOKE ALL ON DATABASE %s FROM PUBLIC, %s", database, quoted_owner);
    free(quoted_owner);
    for (int pass = 0; rc == 0 && pass < 2; pass++) {
        for (size_t i = 0; rc == 0 && i < json_array_size(acl); i++) {
            const json_t *item = json_array_get(acl, i);
            const char *grantor = json_string_value(json_object_get(item, "grantor"));
            bool by_owner = grantor == NULL || strcmp(grantor, owner) == 0;

            if (by_owner == (pass == 0))
                rc = apply_grant(session, item, owner, database, err);
        }
    }
    return rc < 0 ? err_wrap(err, "grants") : 0;
}

static int apply_rest(struct pg_session *session, const struct manifest *manifest,
                      const char *database, struct err *err)
{
    const char *comment = fact(manifest, "comment");
    long long limit = pg_fact_number(manifest, "database", "connection_limit", -1);
    char *quoted = comment == NULL ? NULL : pg_quote_text(comment);
    int rc = 0;

    if (quoted != NULL)
        rc = pg_execf(session, err, "COMMENT ON DATABASE %s IS %s", database, quoted);
    if (rc == 0 && limit >= 0)
        rc = pg_execf(session, err, "ALTER DATABASE %s CONNECTION LIMIT %lld", database, limit);
    if (rc == 0 && json_is_true(pg_fact(manifest, "database", "is_template")))
        rc = pg_execf(session, err, "ALTER DATABASE %s IS_TEMPLATE true", database);
    free(quoted);
    return rc;
}

int pg_database_apply(struct pg_session *session, const struct manifest *manifest, const char *name,
                      struct err *err)
{
    char *database = pg_quote_name(name);
    int rc = apply_settings(session, manifest, database, err);

    if (rc == 0)
        rc = apply_grants(session, manifest, database, err);
    if (rc == 0)
        rc = apply_rest(session, manifest, database, err);
    if (rc < 0)
        err_wrap(err, "properties of database %s", name);
    free(database);
    return rc;
}

int pg_database_compare(struct pg_session *session, const struct manifest *manifest,
                        const char *name, struct err *err)
{
    static const char *const keys[] = {
        "owner",      "encoding",         "locale_provider", "collate",
        "ctype",      "locale",           "icu_rules",       "acl",
        "tablespace", "connection_limit", "is_template",     "comment",
        "settings",   "role_settings",
    };
    json_t *is = NULL;
    int rc;

    if (pg_database_facts(session, name, &is, err) < 0)
        return -1;
    rc = json_is_object(is) ? 0 : err_set(err, ERR_MISMATCH, "database %s is gone", name);
    for (size_t i = 0; rc == 0 && i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *was = pg_fact(manifest, "database", keys[i]);
        const json_t *now = json_object_get(is, keys[i]);
        bool same = (json_is_null(was) || was == NULL) && (json_is_null(now) || now == NULL);

        if (!same && !json_equal(was, now))
            rc =
                err_set(err, ERR_MISMATCH, "%s of the database is not as it was recorded", keys[i]);
    }
    json_decref(is);
    return rc;
}

int pg_database_drop(struct pg_session *session, const char *name, struct err *err)
{
    char *quoted = pg_quote_name(name);
    int rc = pg_execf(session, err, "DROP DATABASE IF EXISTS %s WITH (FORCE)", quoted);

    free(quoted);
    return rc < 0 ? err_wrap(err, "drop database %s", name) : 0;
}
