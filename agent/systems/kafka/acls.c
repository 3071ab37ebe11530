// SPDX-License-Identifier: Apache-2.0
// DescribeAcls, once for topics and once for groups: librdkafka 2.0.2 does not know the other kinds
// of resources, and would log each. It also drops the answer's error: a cluster without authorizer,
// and a user without the right, look as if there were no ACLs. So none at all is "unknown".
#include "facts_take.h"

#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const char what[] = "describe ACLs";

static bool applies(const struct kafka_cluster *cluster, const rd_kafka_AclBinding_t *acl)
{
    const char *name = rd_kafka_AclBinding_name(acl);

    if (rd_kafka_AclBinding_restype(acl) == RD_KAFKA_RESOURCE_GROUP || strcmp(name, "*") == 0)
        return true;
    if (rd_kafka_AclBinding_resource_pattern_type(acl) == RD_KAFKA_RESOURCE_PATTERN_LITERAL)
        return kafka_cluster_topic(cluster, name) != NULL;
    for (size_t i = 0; i < cluster->topic_count; i++)
        if (text_starts_with(cluster->topics[i].name, name))
            return true;
    return false;
}

/* One that a later version has words for. */
static bool is_known(const rd_kafka_AclBinding_t *acl)
{
    rd_kafka_ResourcePatternType_t pattern = rd_kafka_AclBinding_resource_pattern_type(acl);
    rd_kafka_AclPermissionType_t permission = rd_kafka_AclBinding_permission_type(acl);

    return (pattern == RD_KAFKA_RESOURCE_PATTERN_LITERAL ||
            pattern == RD_KAFKA_RESOURCE_PATTERN_PREFIXED) &&
           rd_kafka_AclBinding_operation(acl) > RD_KAFKA_ACL_OPERATION_ANY &&
           rd_kafka_AclBinding_operation(acl) < RD_KAFKA_ACL_OPERATION__CNT &&
           (permission == RD_KAFKA_ACL_PERMISSION_TYPE_DENY ||
            permission == RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW);
}

static char *copy_text(const char *said)
{
    char *copy = mem_strdup(said == NULL ? "" : said);

    text_fix_utf8(copy);
    return copy;
}

static void copy_acls(struct kafka_facts *facts, const rd_kafka_DescribeAcls_result_t *result,
                      size_t *seen, size_t *strange)
{
    size_t count = 0;
    const rd_kafka_AclBinding_t **acls = rd_kafka_DescribeAcls_result_acls(result, &count);

    *seen += count;
    if (*seen > KAFKA_MAX_ACLS)
        return;
    facts->acls = mem_realloc(facts->acls, (facts->acl_count + count + 1) * sizeof *facts->acls);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_AclBinding_t *acl = acls[i];

        if (!applies(&facts->cluster, acl))
            continue;
        if (!is_known(acl)) {
            ++*strange;
            continue;
        }
        facts->acls[facts->acl_count++] = (struct kafka_acl){
            .resource = rd_kafka_AclBinding_restype(acl),
            .name = copy_text(rd_kafka_AclBinding_name(acl)),
            .pattern = rd_kafka_AclBinding_resource_pattern_type(acl),
            .principal = copy_text(rd_kafka_AclBinding_principal(acl)),
            .host = copy_text(rd_kafka_AclBinding_host(acl)),
            .operation = rd_kafka_AclBinding_operation(acl),
            .permission = rd_kafka_AclBinding_permission_type(acl),
        };
    }
}

static int ask(struct kafka_handle *handle, rd_kafka_ResourceType_t resource,
               rd_kafka_event_t **event, struct err *err)
{
    rd_kafka_t *rk = kafka_handle_rk(handle);
    char said[256];
    rd_kafka_AclBindingFilter_t *filter = rd_kafka_AclBindingFilter_new(
        resource, NULL, RD_KAFKA_RESOURCE_PATTERN_ANY, NULL, NULL, RD_KAFKA_ACL_OPERATION_ANY,
        RD_KAFKA_ACL_PERMISSION_TYPE_ANY, said, sizeof said);
    rd_kafka_AdminOptions_t *options = kafka_handle_admin(handle, RD_KAFKA_ADMIN_OP_DESCRIBEACLS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    int rc;

    if (filter == NULL)
        abort(); /* all of its words are right */
    rd_kafka_DescribeAcls(rk, filter, options, queue);
    rc = kafka_handle_wait(handle, what, queue, event, err);
    rd_kafka_AclBinding_destroy(filter);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return rc;
}

static int take_of(struct kafka_handle *handle, rd_kafka_ResourceType_t resource,
                   struct kafka_facts *facts, size_t *seen, size_t *strange, struct err *err)
{
    rd_kafka_event_t *event = NULL;
    int rc = 0;

    if (ask(handle, resource, &event, err) < 0)
        return -1;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        copy_acls(facts, rd_kafka_event_DescribeAcls_result(event), seen, strange);
    else
        rc = kafka_fail(handle, what, rd_kafka_event_error(event),
                        rd_kafka_event_error_string(event), err);
    rd_kafka_event_destroy(event);
    return rc;
}

int kafka_acls_take(struct kafka_handle *handle, struct kafka_facts *facts, struct err *err)
{
    size_t seen = 0;
    size_t strange = 0;

    if (take_of(handle, RD_KAFKA_RESOURCE_TOPIC, facts, &seen, &strange, err) < 0 ||
        take_of(handle, RD_KAFKA_RESOURCE_GROUP, facts, &seen, &strange, err) < 0)
        return -1;
    if (seen == 0) {
        kafka_facts_warn(facts, "no ACLs are seen: there are none, the cluster has no authorizer, "
                                "or this user lacks the right Describe on the cluster");
        return 0;
    }
    if (seen > KAFKA_MAX_ACLS) {
        kafka_facts_warn(facts, "the ACLs are not kept: %zu are more than %d", seen,
                         KAFKA_MAX_ACLS);
        return 0;
    }
    if (strange > 0)
        kafka_facts_warn(facts, "%zu ACLs are of a kind that this version does not know", strange);
    facts->authorizer = KAFKA_AUTHORIZER_PRESENT;
    return 0;
}
