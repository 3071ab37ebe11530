// SPDX-License-Identifier: Apache-2.0
// Two questions in Kafka's own protocol. librdkafka 2.0.2 knows nothing of topic ids, and of
// DescribeAcls it drops the answer's error: a cluster without authorizer, and a user without the
// right, would look as if there were no ACLs.
//
// Version 12 of Metadata is a flexible one: lengths are one more, as unsigned varints, 0 for null;
// tagged fields end the head and each struct.
#include "broker.h"
#include "cursor.h"
#include "facts_take.h"

#include "mem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_METADATA      3
#define METADATA_VERSION  12
#define API_VERSIONS      18
#define API_DESCRIBE_ACLS 29
#define ACLS_VERSION      1
#define ANSWER_BYTES      ((size_t)64 << 10)
#define ANSWER_MAX_BYTES  ((size_t)16 << 20)
#define UUID_BYTES        16

static int no_answer(const char *what, struct err *err)
{
    return err_set(err, ERR_SOURCE, "%s: the broker does not answer as Kafka does", what);
}

/* --- flexible --- */

/* The count of a compact array whose items have at least so many bytes each. */
static size_t get_count(struct kafka_cursor *from, size_t item_bytes)
{
    uint32_t count = kafka_uvarint(from);

    if (count == 0)
        return 0;
    if (count - 1 > kafka_left(from) / item_bytes) {
        from->bad = true;
        return 0;
    }
    return count - 1;
}

static const uint8_t *get_string(struct kafka_cursor *from, size_t *len)
{
    uint32_t size = kafka_uvarint(from);

    *len = size == 0 ? 0 : size - 1;
    return kafka_take(from, *len);
}

static void skip_tags(struct kafka_cursor *from)
{
    for (uint32_t left = kafka_uvarint(from); left > 0 && !from->bad; left--) {
        kafka_uvarint(from);
        kafka_take(from, kafka_uvarint(from));
    }
}

/* --- topic ids --- */

static void put_topics(struct text *body, const struct kafka_cluster *cluster)
{
    static const char no_id[UUID_BYTES] = {0};

    kafka_put_uvarint(body, 0); /* the head's tagged fields */
    kafka_put_uvarint(body, (uint32_t)cluster->topic_count + 1);
    for (size_t i = 0; i < cluster->topic_count; i++) {
        const char *name = cluster->topics[i].name;

        text_add_bytes(body, no_id, sizeof no_id);
        kafka_put_uvarint(body, (uint32_t)strlen(name) + 1);
        text_add_bytes(body, name, strlen(name));
        kafka_put_uvarint(body, 0);
    }
    kafka_put_i8(body, 0); /* make no topics */
    kafka_put_i8(body, 0); /* nor count rights */
    kafka_put_uvarint(body, 0);
}

/* As Kafka's tools show it: base64 for URLs, without padding. NULL for one of zeros. */
static char *show_id(const uint8_t *id)
{
    static const uint8_t none[UUID_BYTES] = {0};
    unsigned char shown[25];

    if (memcmp(id, none, UUID_BYTES) == 0)
        return NULL;
    EVP_EncodeBlock(shown, id, UUID_BYTES);
    for (size_t i = 0; i < sizeof shown; i++)
        shown[i] = shown[i] == '+' ? '-' : shown[i] == '/' ? '_' : shown[i];
    return mem_strndup((const char *)shown, 22);
}

static void skip_partition(struct kafka_cursor *from)
{
    kafka_take(from, 2 + 4 + 4 + 4); /* error, number, leader, epoch */
    for (int list = 0; list < 3; list++)
        kafka_take(from, get_count(from, 4) * 4);
    skip_tags(from);
}

static void read_topic(struct kafka_cursor *from, struct kafka_cluster *cluster)
{
    int16_t error = kafka_i16(from);
    size_t len;
    const uint8_t *said = get_string(from, &len);
    const uint8_t *id = kafka_take(from, UUID_BYTES);
    struct kafka_topic *topic = NULL;

    if (said != NULL && id != NULL) {
        char *name = mem_strndup((const char *)said, strnlen((const char *)said, len));

        topic = kafka_cluster_topic(cluster, name);
        free(name);
    }
    if (topic != NULL && error == 0 && topic->id == NULL)
        topic->id = show_id(id);
    kafka_i8(from); /* internal */
    for (size_t left = get_count(from, 18); left > 0 && !from->bad; left--)
        skip_partition(from);
    kafka_i32(from); /* rights */
    skip_tags(from);
}

int kafka_topic_ids_read(const void *data, size_t len, struct kafka_facts *facts, struct err *err)
{
    struct kafka_cursor from = kafka_cursor(data, len);
    size_t ignored;

    skip_tags(&from); /* the head's */
    kafka_i32(&from); /* throttled */
    for (size_t left = get_count(&from, 11); left > 0 && !from.bad; left--) {
        kafka_i32(&from);
        get_string(&from, &ignored);
        kafka_i32(&from);
        get_string(&from, &ignored);
        skip_tags(&from);
    }
    get_string(&from, &ignored); /* cluster */
    kafka_i32(&from);            /* controller */
    for (size_t left = get_count(&from, 26); left > 0 && !from.bad; left--)
        read_topic(&from, &facts->cluster);
    skip_tags(&from);
    return from.bad ? no_answer("topic ids", err) : 0;
}

/* --- ACLs --- */

static void put_filter(struct text *body)
{
    kafka_put_i8(body, RD_KAFKA_RESOURCE_ANY);
    kafka_put_i16(body, -1); /* any name */
    kafka_put_i8(body, RD_KAFKA_RESOURCE_PATTERN_ANY);
    kafka_put_i16(body, -1); /* any principal */
    kafka_put_i16(body, -1); /* any host */
    kafka_put_i8(body, RD_KAFKA_ACL_OPERATION_ANY);
    kafka_put_i8(body, RD_KAFKA_ACL_PERMISSION_TYPE_ANY);
}

static bool applies(const struct kafka_cluster *cluster, const struct kafka_acl *acl)
{
    if (acl->resource == RD_KAFKA_RESOURCE_GROUP)
        return true;
    if (acl->resource != RD_KAFKA_RESOURCE_TOPIC)
        return false;
    if (strcmp(acl->name, "*") == 0)
        return true;
    if (acl->pattern == RD_KAFKA_RESOURCE_PATTERN_LITERAL)
        return kafka_cluster_topic(cluster, acl->name) != NULL;
    for (size_t i = 0; i < cluster->topic_count; i++)
        if (text_starts_with(cluster->topics[i].name, acl->name))
            return true;
    return false;
}

/* Has this version words for it, and are its own ones such? */
static bool is_known(const struct kafka_acl *acl)
{
    return (acl->pattern == RD_KAFKA_RESOURCE_PATTERN_LITERAL ||
            acl->pattern == RD_KAFKA_RESOURCE_PATTERN_PREFIXED) &&
           acl->operation > RD_KAFKA_ACL_OPERATION_ANY &&
           acl->operation < RD_KAFKA_ACL_OPERATION__CNT &&
           (acl->permission == RD_KAFKA_ACL_PERMISSION_TYPE_DENY ||
            acl->permission == RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW) &&
           acl->name[0] != '\0' && acl->principal[0] != '\0' && acl->host[0] != '\0';
}

/* Empty when a manifest could not hold it as it is: what is cut or mended would grant something to
 * somebody else, once it is put back. */
static char *read_text(struct kafka_cursor *from)
{
    size_t len;
    const uint8_t *said = kafka_string(from, &len, NULL);
    char *text = said == NULL ? mem_strdup("")
                              : mem_strndup((const char *)said, strnlen((const char *)said, len));

    text_fix_utf8(text);
    if (said != NULL &&
        (len > KAFKA_MAX_NAME || strlen(text) != len || memcmp(text, said, len) != 0))
        text[0] = '\0';
    return text;
}

static void free_acl(struct kafka_acl *acl)
{
    free(acl->name);
    free(acl->principal);
    free(acl->host);
}

struct counts {
    size_t seen, strange;
};

/* One resource, with all that is granted on it. */
static void read_resource(struct kafka_cursor *from, struct kafka_facts *facts,
                          struct counts *counts)
{
    rd_kafka_ResourceType_t resource = (rd_kafka_ResourceType_t)(uint8_t)kafka_i8(from);
    char *name = read_text(from);
    rd_kafka_ResourcePatternType_t pattern =
        (rd_kafka_ResourcePatternType_t)(uint8_t)kafka_i8(from);
    size_t count = kafka_count(from, 6);

    for (size_t i = 0; i < count && !from->bad; i++) {
        struct kafka_acl acl = {.resource = resource, .name = mem_strdup(name), .pattern = pattern};

        acl.principal = read_text(from);
        acl.host = read_text(from);
        acl.operation = (rd_kafka_AclOperation_t)(uint8_t)kafka_i8(from);
        acl.permission = (rd_kafka_AclPermissionType_t)(uint8_t)kafka_i8(from);
        if (from->bad || !applies(&facts->cluster, &acl) || !is_known(&acl) ||
            counts->seen == KAFKA_MAX_ACLS) {
            counts->strange += !from->bad && applies(&facts->cluster, &acl);
            free_acl(&acl);
            continue;
        }
        facts->acls = mem_realloc(facts->acls, (facts->acl_count + 1) * sizeof *facts->acls);
        facts->acls[facts->acl_count++] = acl;
        counts->seen++;
    }
    free(name);
}

/* Sets the authorizer by an answer's code. */
static int read_code(int16_t code, struct kafka_facts *facts, struct err *err)
{
    rd_kafka_resp_err_t said = (rd_kafka_resp_err_t)code;

    facts->authorizer = KAFKA_AUTHORIZER_UNKNOWN;
    if (said == RD_KAFKA_RESP_ERR_NO_ERROR)
        facts->authorizer = KAFKA_AUTHORIZER_PRESENT;
    else if (said == RD_KAFKA_RESP_ERR_SECURITY_DISABLED)
        facts->authorizer = KAFKA_AUTHORIZER_NONE;
    else if (kafka_kind_of(said) == ERR_DENIED)
        kafka_facts_warn(facts,
                         "the ACLs are not known: %s; the right Describe on the cluster gives them",
                         rd_kafka_err2str(said));
    else
        return err_set(err, kafka_kind_of(said), "ACLs: %s", rd_kafka_err2str(said));
    return 0;
}

int kafka_acls_read(const void *data, size_t len, struct kafka_facts *facts, struct err *err)
{
    struct kafka_cursor from = kafka_cursor(data, len);
    struct counts counts = {.seen = 0};
    int16_t code;
    size_t ignored;
    bool null;

    kafka_i32(&from); /* throttled */
    code = kafka_i16(&from);
    kafka_string(&from, &ignored, &null);
    if (from.bad)
        return no_answer("ACLs", err);
    if (read_code(code, facts, err) < 0)
        return -1;
    for (size_t left = kafka_count(&from, 8); left > 0 && !from.bad; left--)
        read_resource(&from, facts, &counts);
    if (from.bad)
        return no_answer("ACLs", err);
    if (counts.strange > 0)
        kafka_facts_warn(facts,
                         "%zu ACLs are not kept: of a kind that this version does not know, of "
                         "names that are no text, or beyond %d",
                         counts.strange, KAFKA_MAX_ACLS);
    return 0;
}

/* --- asking --- */

static int connect_to_one(const struct kafka_options *options, const struct kafka_cluster *cluster,
                          int64_t deadline_mono_us, struct kafka_broker **broker, struct err *err)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        char port[8];

        err_clear(err);
        snprintf(port, sizeof port, "%d", (int)cluster->nodes[i].port);
        if (kafka_broker_open(options, cluster->nodes[i].host, port, deadline_mono_us, broker,
                              err) == 0)
            return 0;
        if (err->kind != ERR_UNREACHABLE)
            break;
    }
    return err->kind == ERR_NONE ? err_set(err, ERR_UNREACHABLE, "there are no brokers") : -1;
}

/* Does the broker serve this version? */
static int serves(struct kafka_broker *broker, struct kafka_buffer *answer, int16_t api,
                  int16_t version, bool *served, struct err *err)
{
    const struct text nothing = TEXT_INIT;
    struct kafka_cursor from;

    if (kafka_broker_call(broker, API_VERSIONS, 0, &nothing, answer, err) < 0)
        return -1;
    from = kafka_cursor(answer->data, answer->len);
    kafka_i16(&from);
    *served = false;
    for (size_t left = kafka_count(&from, 6); left > 0; left--) {
        int16_t of = kafka_i16(&from), least = kafka_i16(&from), most = kafka_i16(&from);

        *served |= of == api && least <= version && version <= most;
    }
    return from.bad ? no_answer("versions", err) : 0;
}

static int ask_ids(struct kafka_broker *broker, struct kafka_buffer *answer,
                   struct kafka_facts *facts, struct err *err)
{
    struct text body = TEXT_INIT;
    bool served = false;
    int rc = serves(broker, answer, API_METADATA, METADATA_VERSION, &served, err);

    if (rc < 0 || !served)
        return rc;
    put_topics(&body, &facts->cluster);
    rc = kafka_broker_call(broker, API_METADATA, METADATA_VERSION, &body, answer, err);
    text_fini(&body);
    return rc < 0 ? -1 : kafka_topic_ids_read(answer->data, answer->len, facts, err);
}

static int ask_acls(struct kafka_broker *broker, struct kafka_buffer *answer,
                    struct kafka_facts *facts, struct err *err)
{
    struct text body = TEXT_INIT;
    bool served = false;
    int rc = serves(broker, answer, API_DESCRIBE_ACLS, ACLS_VERSION, &served, err);

    if (rc < 0)
        return -1;
    if (!served) {
        kafka_facts_warn(facts, "the ACLs are not known: the broker does not serve the question");
        return 0;
    }
    put_filter(&body);
    rc = kafka_broker_call(broker, API_DESCRIBE_ACLS, ACLS_VERSION, &body, answer, err);
    text_fini(&body);
    return rc < 0 ? -1 : kafka_acls_read(answer->data, answer->len, facts, err);
}

static int ask_one(const struct kafka_options *options, int64_t deadline_mono_us, bool acls,
                   struct kafka_facts *facts, struct err *err)
{
    struct kafka_broker *broker = NULL;
    struct kafka_buffer answer;
    int rc;

    if (connect_to_one(options, &facts->cluster, deadline_mono_us, &broker, err) < 0)
        return -1;
    kafka_buffer_init(&answer, ANSWER_BYTES, ANSWER_MAX_BYTES);
    rc = ask_ids(broker, &answer, facts, err);
    if (rc == 0 && acls)
        rc = ask_acls(broker, &answer, facts, err);
    kafka_buffer_fini(&answer);
    kafka_broker_close(broker);
    return rc;
}

int kafka_asked_take(const struct kafka_options *options, int64_t deadline_mono_us,
                     struct kafka_facts *facts, struct err *err)
{
    return ask_one(options, deadline_mono_us, true, facts, err);
}

int kafka_ids_take(const struct kafka_options *options, int64_t deadline_mono_us,
                   struct kafka_facts *facts, struct err *err)
{
    return ask_one(options, deadline_mono_us, false, facts, err);
}
