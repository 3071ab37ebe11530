// SPDX-License-Identifier: Apache-2.0
// The ACLs of the backup, added to those that the cluster has: one that is there already is no
// second one, and none is removed. Denials go first: nobody has for a moment what is denied to
// them.
#include "kafka_restoring.h"

#include "admin.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MS 200
#define AT_ONCE     100 /* a request with the longest names is of little more than a megabyte */

static const char what[] = "put ACLs back";

struct putting {
    struct kafka_handle *handle;
    int64_t until_us;             /* no further attempt after it */
    rd_kafka_resp_err_t given_up; /* what the last attempt ended with; the rest is not tried */
    rd_kafka_AclBinding_t *bindings[AT_ONCE];
    rd_kafka_resp_err_t codes[AT_ONCE]; /* what the broker said of each */
    size_t count;
};

/* --- which ones --- */

static bool concerns(const struct kafka_restoring *restoring, const struct kafka_acl *acl)
{
    if (acl->resource == RD_KAFKA_RESOURCE_GROUP)
        return true;
    if (acl->pattern == RD_KAFKA_RESOURCE_PATTERN_LITERAL)
        return strcmp(acl->name, "*") == 0 || kafka_target_of(restoring, acl->name) != NULL;
    for (size_t i = 0; i < restoring->target_count; i++)
        if (text_starts_with(restoring->targets[i].name, acl->name))
            return true;
    return false;
}

/* In the order in which they go; free it. */
static const struct kafka_acl **choose(const struct kafka_restoring *restoring, size_t *count)
{
    static const rd_kafka_AclPermissionType_t order[] = {RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
                                                         RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW};
    const struct kafka_facts *facts = &restoring->facts;
    const struct kafka_acl **chosen = mem_calloc(facts->acl_count + 1, sizeof *chosen);

    *count = 0;
    for (size_t turn = 0; turn < sizeof order / sizeof order[0]; turn++)
        for (size_t i = 0; i < facts->acl_count; i++)
            if (facts->acls[i].permission == order[turn] && concerns(restoring, &facts->acls[i]))
                chosen[(*count)++] = &facts->acls[i];
    return chosen;
}

/* --- asking --- */

static int make_bindings(struct putting *putting, const struct kafka_acl *const *acls, size_t count,
                         struct err *err)
{
    char said[256] = "";

    for (putting->count = 0; putting->count < count; putting->count++) {
        const struct kafka_acl *acl = acls[putting->count];
        rd_kafka_AclBinding_t *binding =
            rd_kafka_AclBinding_new(acl->resource, acl->name, acl->pattern, acl->principal,
                                    acl->host, acl->operation, acl->permission, said, sizeof said);

        if (binding == NULL)
            return err_set(err, ERR_SOURCE, "%s: %s", what, said);
        putting->bindings[putting->count] = binding;
    }
    return 0;
}

static void set_all(struct putting *putting, rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < putting->count; i++)
        putting->codes[i] = code;
}

static void read_answer(struct putting *putting, rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_acl_result_t **results;

    set_all(putting, rd_kafka_event_error(event));
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    results = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &count);
    if (count != putting->count) {
        set_all(putting, RD_KAFKA_RESP_ERR_UNKNOWN);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *failed = rd_kafka_acl_result_error(results[i]);

        if (failed != NULL)
            putting->codes[i] = rd_kafka_error_code(failed);
    }
}

static int put_once(struct putting *putting, struct err *err)
{
    struct kafka_admin admin;
    int rc;

    kafka_admin_begin(putting->handle, RD_KAFKA_ADMIN_OP_CREATEACLS, &admin);
    rd_kafka_CreateAcls(kafka_handle_rk(putting->handle), putting->bindings, putting->count,
                        admin.options, admin.queue);
    rc = kafka_admin_wait(putting->handle, what, &admin, err);
    if (rc == 0)
        read_answer(putting, admin.event);
    kafka_admin_end(&admin);
    return rc;
}

static bool may_repeat(const struct putting *putting)
{
    if (clock_mono_us() >= putting->until_us)
        return false;
    for (size_t i = 0; i < putting->count; i++)
        if (kafka_kind_of(putting->codes[i]) == ERR_UNREACHABLE)
            return true;
    return false;
}

/* A controller that is only coming up is waited for. */
static int put(struct putting *putting, struct err *err)
{
    if (putting->given_up != RD_KAFKA_RESP_ERR_NO_ERROR) {
        set_all(putting, putting->given_up);
        return 0;
    }
    for (;;) {
        if (put_once(putting, err) < 0)
            return -1;
        if (!may_repeat(putting))
            break;
        if (kafka_handle_pause(putting->handle, ATTEMPTS_MS, err) < 0)
            return -1;
    }
    if (kafka_kind_of(putting->codes[0]) == ERR_UNREACHABLE)
        putting->given_up = putting->codes[0];
    return 0;
}

/* --- what came of it --- */

static const char *reason(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
        return "the cluster has no authorizer";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return "the right Alter on the cluster is needed";
    default:
        return rd_kafka_err2str(code);
    }
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void tell(const struct putting *putting, json_t *findings)
{
    json_t *left = json_object_get(findings, "acls_left");

    for (size_t i = 0; i < putting->count; i++) {
        const char *why = reason(putting->codes[i]);

        if (putting->codes[i] == RD_KAFKA_RESP_ERR_NO_ERROR)
            json_object_set_new(findings, "acls", json_integer(number(findings, "acls") + 1));
        else
            json_object_set_new(left, why, json_integer(number(left, why) + 1));
    }
}

static void tell_left(json_t *findings)
{
    const char *why;
    json_t *count;

    json_object_foreach (json_object_get(findings, "acls_left"), why, count) {
        log_warn("ACLs are not put back", LOG_NUMBER("acls", json_integer_value(count)),
                 LOG_TEXT("because", why));
        kafka_restore_in_part(findings, text_format("%lld ACLs are not put back: %s",
                                                    (long long)json_integer_value(count), why));
    }
}

static int put_all(struct kafka_restoring *restoring, const struct kafka_acl *const *acls,
                   size_t count, json_t *findings, struct err *err)
{
    struct putting putting = {
        .handle = kafka_offsets_handle(restoring->offsets),
        .until_us = clock_mono_us() + restoring->options->timeout_ms * 1000,
    };
    int rc = 0;

    for (size_t from = 0; from < count && rc == 0; from += putting.count) {
        rc = make_bindings(&putting, acls + from, count - from < AT_ONCE ? count - from : AT_ONCE,
                           err);
        if (rc == 0)
            rc = put(&putting, err);
        if (rc == 0)
            tell(&putting, findings);
        rd_kafka_AclBinding_destroy_array(putting.bindings, putting.count);
    }
    return rc;
}

static void warn_of_none(struct kafka_restoring *restoring)
{
    const char *why = restoring->facts.authorizer == KAFKA_AUTHORIZER_NONE
                          ? "its cluster had no authorizer"
                          : "they were not known when it was taken";

    kafka_restore_warn(restoring->warnings,
                       text_format("the backup holds no ACLs to put back: %s", why));
}

int kafka_restore_acls(struct kafka_restoring *restoring, json_t *findings, struct err *err)
{
    const struct kafka_acl **acls;
    size_t count;
    int rc;

    json_object_set_new(findings, "acls", json_integer(0));
    json_object_set_new(findings, "acls_left", json_object());
    if (restoring->facts.authorizer != KAFKA_AUTHORIZER_PRESENT) {
        warn_of_none(restoring);
        return 0;
    }
    acls = choose(restoring, &count);
    rc = put_all(restoring, acls, count, findings, err);
    free(acls);
    if (rc == 0)
        tell_left(findings);
    return rc;
}
