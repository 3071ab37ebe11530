// SPDX-License-Identifier: Apache-2.0
// What the parts of a restore or drill of Kafka share.
#pragma once

#include "account.h"
#include "kafka_facts.h"
#include "note.h"
#include "offset_map.h"
#include "offsets.h"
#include "record_digest.h"
#include "system.h"

struct kafka_writer;
struct kafka_record;

/* One partition of a target, and what of the backup goes there. */
struct kafka_target_partition {
    /* Of the backup. */
    size_t first;                           /* the ancestors from there on hold its data */
    int64_t end;                            /* where the last one ends */
    size_t segments;                        /* of all of them */
    struct kafka_transactions transactions; /* of all of them: those that were aborted */

    /* While it is written. */
    size_t segments_seen;
    int64_t last_offset;      /* of the last record looked at; -1 */
    bool stopped;             /* --until was reached */
    uint64_t sent, delivered; /* with those that an earlier append wrote: so many */
    uint64_t already;
    char sha256[65];                    /* of what was sent, once it was compared */
    struct kafka_record_digest *digest; /* of what was sent; NULL before the first */

    /* Of the new one. */
    int64_t start; /* the offset of its first record */
    struct kafka_offset_map map;
};

struct kafka_target {
    const struct kafka_topic *from; /* in the facts of the tip */
    char *name;
    /* With --replace, else NULL: the scratch topic while name is the real one, and the other way
     * round. */
    char *other;
    struct kafka_target_partition *partitions; /* as many as from has */
    uint64_t records;                          /* at most, by the manifests */
    bool there;                                /* it was there before */
    bool append;                               /* and is kept, with what is in it */
    uint64_t held;                             /* offsets in it then */
    rd_kafka_topic_t *rkt;                     /* the writer's; NULL before the first record */
};

struct kafka_restoring {
    struct restore_request request;
    const struct kafka_options *options;
    struct ev_loop *loop;
    struct kafka_facts facts; /* of the tip */
    struct kafka_offsets *offsets;
    struct kafka_target *targets; /* by name */
    size_t target_count;
    struct kafka_target **of_topic; /* by the topics of facts; NULL: not restored */
    struct kafka_facts there;       /* the targets in their cluster, as far as they are there */
    struct kafka_note note;         /* what is to be taken back; empty at success */
    struct kafka_writer *writer;
    bool copying;             /* from scratch topics: the maps are made */
    bool foreign;             /* somebody else wrote to a target */
    int64_t moved_timestamps; /* records of timestamp 0, which the library cannot write */
    json_t *warnings;         /* texts, for the findings */
};

/* --- targets.c: what goes where --- */

/* Reads facts and accounts of all of the ancestry; makes the targets. */
int kafka_targets_make(struct kafka_restoring *restoring, struct err *err);
void kafka_targets_free(struct kafka_restoring *restoring);
/* Lent; NULL: not one that is restored. name: in the backup. */
struct kafka_target *kafka_target_of(const struct kafka_restoring *restoring, const char *name);
/* Each name changes places with the other one. */
void kafka_targets_turn(struct kafka_restoring *restoring);

/* --- place.c: the topics in the cluster --- */

/* Asks for the targets that are there. ERR_EXISTS: one that cannot be restored into as the request
 * says. */
int kafka_place_check(struct kafka_restoring *restoring, struct err *err);
/* Makes the missing ones, puts all under settings that change no record and remove none, and waits
 * until all have leaders and ids. The note is on disk before anything is done. */
int kafka_place_make(struct kafka_restoring *restoring, struct err *err);
/* The same of topics that are not there; they are in the note. */
int kafka_place_fill(struct kafka_restoring *restoring, struct err *err);
/* Asks again which of the targets are there. */
int kafka_place_find(struct kafka_restoring *restoring, struct err *err);
/* Asks again where they begin and end. */
int kafka_place_ask(struct kafka_restoring *restoring, struct err *err);

/* --- topic_admin.c: asking for changes --- */

/* Of one topic. settings: an object of texts. code tells what the broker said, when it failed. */
int kafka_admin_create(struct kafka_handle *handle, const char *name, size_t partitions,
                       size_t replication, const json_t *settings, rd_kafka_resp_err_t *code,
                       struct err *err);
int kafka_admin_delete(struct kafka_handle *handle, const char *name, struct err *err);
/* Replaces all that is set for the topic; validate: only asks whether that may be. */
int kafka_admin_configure(struct kafka_handle *handle, const char *name, const json_t *settings,
                          bool validate, rd_kafka_resp_err_t *code, struct err *err);
/* Removes all records of a topic. */
int kafka_admin_empty(struct kafka_handle *handle, const struct kafka_topic *topic,
                      struct err *err);

/* --- append.c --- */

/* ERR_EXISTS: another backup was begun to be appended to that topic. */
int kafka_append_check(const struct kafka_restoring *restoring, const struct kafka_topic *topic,
                       struct err *err);
/* Sets where the target's partitions begin, and what is there of an earlier run; into the note. */
void kafka_append_begin(struct kafka_restoring *restoring, struct kafka_target *target,
                        const struct kafka_topic *topic);
/* All of it is there. */
void kafka_append_forget(struct kafka_restoring *restoring);
/* Nobody can go on, for what is there is not what was appended: says where that begins. */
void kafka_append_give_up(struct kafka_restoring *restoring);

/* --- configure.c --- */

/* Sets just that for a topic. What these brokers do not take is left out, and told in warnings (may
 * be NULL). */
int kafka_configure(struct kafka_handle *handle, const char *topic, const json_t *settings,
                    json_t *warnings, struct err *err);
/* Puts the configuration of the backup on, or, where it was appended, the one that was there. From
 * its first step on nothing is taken back any more. */
int kafka_configure_all(struct kafka_restoring *restoring, struct err *err);
json_t *kafka_settings_of(const struct kafka_topic *topic);

/* --- replace.c --- */

/* The targets stand proven in scratch topics: deletes the topics that they replace, makes them
 * anew, copies, and proves again. */
int kafka_replace(struct kafka_restoring *restoring, struct err *err);
/* Deletes the scratch topics of these targets, of earlier restores too. */
int kafka_replace_end(struct kafka_restoring *restoring, struct err *err);
/* Deletes the scratch topic that kept names (note.h), if it is the very one. */
int kafka_kept_remove(struct kafka_handle *handle, const struct kafka_cluster *cluster,
                      const json_t *kept, struct err *err);

/* --- writer.c --- */

int kafka_writer_open(struct kafka_restoring *restoring, struct err *err);
/* What is still under way is dropped. NULL is allowed. */
void kafka_writer_close(struct kafka_restoring *restoring);
/* OK: sent. AGAIN: the queue is full. A failure of any record before is told here too. */
enum step kafka_writer_send(struct kafka_writer *writer, struct kafka_target *target,
                            size_t partition, const struct kafka_record *record, struct err *err);
/* Until all is delivered. */
int kafka_writer_flush(struct kafka_writer *writer, struct err *err);
/* After AGAIN. */
void kafka_writer_arm(struct kafka_writer *writer, struct ev_loop *loop, struct waker waker);
void kafka_writer_disarm(struct kafka_writer *writer);

/* --- sink.c --- */

/* For a segment of one of the targets. */
int kafka_segment_sink(struct kafka_restoring *restoring, const struct manifest *manifest,
                       const char *object, struct sink **sink, struct err *err);
/* For verbatim batches of what a restore wrote, to be written again. */
struct sink *kafka_copy_sink(struct kafka_restoring *restoring, struct kafka_target *target,
                             size_t partition);

/* --- readback.c --- */

/* Reads the new topics, and compares digests. ERR_MISMATCH. */
int kafka_readback(struct kafka_restoring *restoring, struct err *err);

/* --- regroup.c --- */

/* Sets the groups' offsets. findings: "groups", names; "groups_left", of each that was not set
 * why. */
int kafka_regroup(struct kafka_restoring *restoring, json_t *findings, struct err *err);

/* --- acls.c --- */

/* Adds the backup's ACLs of what is restored, and of groups, to those of the cluster. findings:
 * "acls", how many of them it has now; "acls_left", how many it does not have, by why. */
int kafka_restore_acls(struct kafka_restoring *restoring, json_t *findings, struct err *err);

/* --- restore.c --- */

/* What is otherwise than in the backup: into the log, and warnings (may be NULL). Takes text. */
void kafka_restore_warn(json_t *warnings, char *text);
/* Restored in part: the findings say so, and add text to their hint. Takes text. */
void kafka_restore_in_part(json_t *findings, char *text);

/* --- system_ops --- */

int kafka_restore_open(const struct restore_request *request, struct ev_loop *loop, void **restore,
                       struct err *err);
char *kafka_restore_stake(void *restore);
int kafka_restore_begin(void *restore, struct err *err);
int kafka_restore_sink(void *restore, const struct manifest *manifest, const char *object,
                       struct sink **sink, struct err *err);
int kafka_restore_finish(void *restore, json_t *findings, struct err *err);
void kafka_restore_close(void *restore);
