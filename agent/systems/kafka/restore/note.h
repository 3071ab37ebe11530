// SPDX-License-Identifier: Apache-2.0
// What a restore of Kafka has begun in the cluster, on disk before it is begun: so that this
// process, or a later one after its death, can take it back or end it. One file of a component.
#pragma once

#include "options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct kafka_topic;

/* A topic that a restore makes, fills, or appends to. */
struct kafka_noted {
    char *name;
    char *id;         /* NULL: not known yet, or never */
    bool there;       /* it was there before, empty: it is emptied, not deleted */
    bool filling;     /* it was found empty again, and then written to */
    bool append;      /* it was there with records: nothing of it is removed */
    json_t *config;   /* what was set for it before; NULL: it was not there */
    json_t *settings; /* once it is proven: what is to be set for it; NULL: nothing is */
};

struct kafka_note {
    char *path;
    char *cluster; /* id */
    struct kafka_noted *topics;
    size_t count;
    bool proven; /* nothing is to be taken back: what is missing is the configuration */
    /* What outlives a failure, for the next restore. Objects; arrays of them.
     * kept: {topic, topic_id, scratch, scratch_id}: the topic was deleted, or was going to be, and
     * its new records stand, proven, in scratch.
     * appended: {topic, id, backup, until_ms, starts}: records of that backup stand in the topic
     * from these offsets on, and not all of them yet. */
    json_t *kept, *appended;
};

/* Reads what earlier ones left, or nothing. *note is right for kafka_note_fini after a failure
 * too. */
int kafka_note_read(struct kafka_note *note, const struct component_options *component,
                    const char *state_path, struct err *err);
int kafka_note_write(const struct kafka_note *note, struct err *err);
/* Forgets the topics, in memory. */
void kafka_note_forget_topics(struct kafka_note *note);
/* The same; the file goes, or keeps what outlives them. */
int kafka_note_settle(struct kafka_note *note, struct err *err);
void kafka_note_fini(struct kafka_note *note);

/* Adds a topic and returns it. */
struct kafka_noted *kafka_note_add(struct kafka_note *note, const char *name);
/* It is not ours to take back. */
void kafka_note_forget(struct kafka_note *note, const char *name);
/* The entry of kept or appended for that topic; NULL. Lent. */
json_t *kafka_note_find(const json_t *list, const char *topic);
void kafka_note_drop(json_t *list, const char *topic);

/* --- undo.c --- */

/* Takes back what is in the note, or, once it is proven, puts the configuration on; then settles
 * it. */
int kafka_note_undo(const struct component_options *component, struct kafka_note *note,
                    struct err *err);
/* As system.h says. */
void kafka_clean(const struct component_options *component, const char *state_path);
