// SPDX-License-Identifier: Apache-2.0
// The configuration that topics have in the end. It comes last: from then on the brokers remove
// again what is too old.
#include "kafka_restoring.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Leaves out what these brokers do not take, by asking for each alone. */
static int leave_out_refused(struct kafka_handle *handle, const char *topic, json_t *settings,
                             json_t *warnings, struct err *err)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(settings, next, name, value)
    {
        json_t *alone = json_pack("{s:O}", name, value);
        struct err why = ERR_INIT;
        rd_kafka_resp_err_t code;
        int rc = kafka_admin_configure(handle, topic, alone, true, &code, &why);

        json_decref(alone);
        if (rc == 0)
            continue;
        if (code != RD_KAFKA_RESP_ERR_INVALID_CONFIG) {
            *err = why;
            return -1;
        }
        kafka_restore_warn(warnings, text_format("%s=%s is not set: %s", name,
                                                 json_string_value(value), why.text));
        json_object_del(settings, name);
    }
    return 0;
}

int kafka_configure(struct kafka_handle *handle, const char *topic, const json_t *settings,
                    json_t *warnings, struct err *err)
{
    rd_kafka_resp_err_t code;
    json_t *taken;
    int rc = kafka_admin_configure(handle, topic, settings, false, &code, err);

    if (rc == 0 || code != RD_KAFKA_RESP_ERR_INVALID_CONFIG)
        return rc;
    err_clear(err);
    taken = json_copy((json_t *)(uintptr_t)settings);
    rc = leave_out_refused(handle, topic, taken, warnings, err);
    if (rc == 0)
        rc = kafka_admin_configure(handle, topic, taken, false, &code, err);
    json_decref(taken);
    return rc;
}

json_t *kafka_settings_of(const struct kafka_topic *topic)
{
    json_t *settings = json_object();

    for (size_t i = 0; i < topic->config_count; i++)
        json_object_set_new(settings, topic->configs[i].name, json_string(topic->configs[i].value));
    return settings;
}

/* These name brokers of the cluster that was backed up. */
static json_t *without_brokers(json_t *settings)
{
    json_object_del(settings, "leader.replication.throttled.replicas");
    json_object_del(settings, "follower.replication.throttled.replicas");
    return settings;
}

static json_t *settings_for(struct kafka_restoring *restoring, const struct kafka_noted *noted,
                            const struct kafka_target *target)
{
    if (noted->append)
        return json_incref(noted->config);
    if (target->from->config_known)
        return without_brokers(kafka_settings_of(target->from));
    kafka_restore_warn(
        restoring->warnings,
        text_format("topic %s: the backup does not have its configuration; it keeps the settings "
                    "of the restore, without retention",
                    target->name));
    return NULL;
}

int kafka_configure_all(struct kafka_restoring *restoring, struct err *err)
{
    struct kafka_note *note = &restoring->note;

    for (size_t i = 0; i < note->count; i++) {
        struct kafka_noted *noted = &note->topics[i];

        for (size_t t = 0; t < restoring->target_count; t++)
            if (strcmp(restoring->targets[t].name, noted->name) == 0)
                noted->settings = settings_for(restoring, noted, &restoring->targets[t]);
    }
    note->proven = true;
    if (kafka_note_write(note, err) < 0)
        return -1;
    for (size_t i = 0; i < note->count; i++)
        if (note->topics[i].settings != NULL &&
            kafka_configure(kafka_offsets_handle(restoring->offsets), note->topics[i].name,
                            note->topics[i].settings, restoring->warnings, err) < 0)
            return err_wrap(err, "the records stand, compared, but not their configuration, which "
                                 "the next prune or restore puts on");
    return 0;
}
