// SPDX-License-Identifier: Apache-2.0
// Backups come first, then what brings them to safety, then what proves them.
#include "agenda.h"

#include "backoff.h"
#include "clock.h"
#include "component_lock.h"
#include "folder.h"
#include "journal.h"
#include "log.h"
#include "mem.h"
#include "scheduler.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define LOOKS_PER_TIMEOUT 5 /* whether another agent still works on a slot */
#define UPLOAD_LEAST_MS   INT64_C(10000)
#define UPLOAD_FIRST_MS   INT64_C(20000)
#define UPLOAD_MOST_MS    INT64_C(900000)

enum { SCHEDULED = 3 };
static const lifeboat_v1_JobKind scheduled_kinds[SCHEDULED] = {
    lifeboat_v1_JobKind_BACKUP, lifeboat_v1_JobKind_VERIFY, lifeboat_v1_JobKind_DRILL};

struct planned {
    bool wanted;
    struct plan plan;
    int64_t interval_ms;
    int64_t started_ms;    /* by this daemon; a job that was skipped leaves no other trace */
    int64_t before_ms;     /* what started_ms was before the last start */
    int64_t again_mono_us; /* not before: another agent works on the slot */
};

struct item {
    const struct component_options *component;
    lifeboat_v1_ComponentState state;
    struct planned planned[SCHEDULED]; /* as scheduled_kinds */
    bool must_clean;
    bool unreadable;         /* its state, which was said */
    unsigned uploads_failed; /* in a row */
    int64_t upload_mono_us;  /* not before */
};

struct agenda {
    const struct agent_options *options;
    int64_t began_ms;
    struct item *items;
    size_t count;
};

static uint64_t seed_of(const struct agent_options *options, const char *component, size_t kind)
{
    char *name = text_format("%s/%s/%s/%s/%zu", options->identity.cluster,
                             options->identity.namespace_, options->identity.pod, component, kind);
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (const char *at = name; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    free(name);
    return hash;
}

static void plan(struct planned *planned, const char *schedule, int64_t jitter_ms, uint64_t seed,
                 int64_t now_ms)
{
    planned->wanted = schedule != NULL && schedule_parse(schedule, &planned->plan.schedule) == 0;
    if (!planned->wanted)
        return;
    planned->interval_ms = schedule_interval_ms(&planned->plan.schedule, now_ms);
    planned->plan.jitter_ms = scheduler_jitter_ms(jitter_ms, planned->interval_ms);
    planned->plan.seed = seed;
}

/* Takes over what another agenda remembers of the same component. */
static void remember(struct item *item, const struct agenda *earlier)
{
    for (size_t i = 0; i < earlier->count; i++) {
        const struct item *old = &earlier->items[i];

        if (strcmp(old->component->name, item->component->name) != 0)
            continue;
        for (size_t kind = 0; kind < SCHEDULED; kind++)
            item->planned[kind].started_ms = old->planned[kind].started_ms;
        item->uploads_failed = old->uploads_failed;
        item->upload_mono_us = old->upload_mono_us;
        item->must_clean = old->must_clean;
    }
}

static int found_one(void *arg, const char *name, struct err *err)
{
    (void)name;
    (void)err;
    *(bool *)arg = true;
    return 0;
}

/* A record in jobs/ is of a job that died, or of one that runs: a prune tells them apart. A restore
 * or a drill that died left its lock. */
static bool may_have_left(const struct agent_options *options, const char *component)
{
    char *folder = text_format("%s/jobs/%s", options->state_path, component);
    struct err err = ERR_INIT;
    bool found = false;

    folder_each(folder, found_one, &found, &err);
    free(folder);
    return found || component_left(options->state_path, component);
}

struct agenda *agenda_new(const struct agent_options *options, int64_t began_ms,
                          const struct agenda *earlier)
{
    struct agenda *agenda = mem_calloc(1, sizeof *agenda);
    int64_t now_ms = clock_wall_ms();

    agenda->options = options;
    agenda->began_ms = began_ms;
    agenda->count = options->component_count;
    agenda->items = mem_calloc(agenda->count, sizeof *agenda->items);
    for (size_t i = 0; i < agenda->count; i++) {
        struct item *item = &agenda->items[i];
        const struct component_options *component = &options->components[i];
        const char *schedules[SCHEDULED] = {component->schedule, component->verify_schedule,
                                            component->drill_schedule};

        item->component = component;
        for (size_t kind = 0; kind < SCHEDULED; kind++)
            plan(&item->planned[kind], schedules[kind], component->jitter_ms,
                 seed_of(options, component->name, kind), now_ms);
        if (earlier == NULL)
            item->must_clean = may_have_left(options, component->name);
        else
            remember(item, earlier);
    }
    agenda_refresh(agenda);
    return agenda;
}

void agenda_free(struct agenda *agenda)
{
    if (agenda == NULL)
        return;
    free(agenda->items);
    free(agenda);
}

/* What began in a future that was none (the clock went back) counts as begun now: the schedule
 * goes on from here, and does not wait for that future. */
static void settle(struct agenda *agenda, struct item *item, int64_t now_ms)
{
    if (agenda->began_ms > now_ms)
        agenda->began_ms = now_ms;
    for (size_t kind = 0; kind < SCHEDULED; kind++) {
        struct planned *planned = &item->planned[kind];
        int64_t known_ms = journal_kind(&item->state, scheduled_kinds[kind])->started_ms;

        if (planned->started_ms > now_ms || (planned->started_ms == 0 && known_ms > now_ms))
            planned->started_ms = now_ms;
    }
}

void agenda_refresh(struct agenda *agenda)
{
    int64_t now_ms = clock_wall_ms();

    for (size_t i = 0; i < agenda->count; i++) {
        struct item *item = &agenda->items[i];
        struct err err = ERR_INIT;

        bool readable = journal_state(agenda->options->state_path, item->component->name,
                                      &item->state, &err) == 0;

        if (!readable && !item->unreadable)
            log_warn("what is known of a component cannot be read",
                     LOG_TEXT("component", item->component->name), LOG_TEXT("err", err.text));
        item->unreadable = !readable;
        settle(agenda, item, now_ms);
    }
}

static bool next_slot(const struct agenda *agenda, const struct item *item, size_t kind,
                      int64_t now_ms, struct plan_slot *slot)
{
    const struct planned *planned = &item->planned[kind];
    lifeboat_v1_ComponentState *state = (lifeboat_v1_ComponentState *)(uintptr_t)&item->state;
    int64_t started_ms = journal_kind(state, scheduled_kinds[kind])->started_ms;
    struct plan_now now = {.now_ms = now_ms, .began_ms = agenda->began_ms};

    if (!planned->wanted)
        return false;
    /* There is nothing to prove before the first backup. */
    if (kind > 0 && item->state.backup.success_ms == 0 && item->state.backup.in_part == 0 &&
        planned->plan.schedule.every_ms > 0)
        return false;
    now.last_started_ms = planned->started_ms;
    if (started_ms > planned->started_ms && started_ms <= now_ms)
        now.last_started_ms = started_ms;
    return scheduler_next(&planned->plan, &now, slot);
}

static bool slot_is_due(const struct agenda *agenda, const struct item *item, size_t kind,
                        struct errand *errand)
{
    int64_t now_ms = clock_wall_ms();
    struct plan_slot slot;

    if (!next_slot(agenda, item, kind, now_ms, &slot) || slot.start_ms > now_ms ||
        clock_mono_us() < item->planned[kind].again_mono_us)
        return false;
    *errand = (struct errand){
        .component = item->component,
        .kind = scheduled_kinds[kind],
        .trigger = slot.missed ? lifeboat_v1_Trigger_CATCH_UP : lifeboat_v1_Trigger_SCHEDULE,
        .slot_ms = slot.slot_ms,
    };
    return true;
}

static bool other_is_due(const struct item *item, lifeboat_v1_JobKind kind, struct errand *errand)
{
    bool due = kind == lifeboat_v1_JobKind_PRUNE
                   ? item->must_clean
                   : item->state.fallback_backups > 0 && clock_mono_us() >= item->upload_mono_us;

    if (due)
        *errand = (struct errand){
            .component = item->component, .kind = kind, .trigger = lifeboat_v1_Trigger_AUTOMATIC};
    return due;
}

bool agenda_due(struct agenda *agenda, struct errand *errand)
{
    static const struct {
        lifeboat_v1_JobKind kind;
        size_t scheduled; /* SCHEDULED: it is not */
    } order[] = {
        {lifeboat_v1_JobKind_BACKUP, 0},        {lifeboat_v1_JobKind_UPLOAD, SCHEDULED},
        {lifeboat_v1_JobKind_PRUNE, SCHEDULED}, {lifeboat_v1_JobKind_VERIFY, 1},
        {lifeboat_v1_JobKind_DRILL, 2},
    };

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        for (size_t j = 0; j < agenda->count; j++) {
            const struct item *item = &agenda->items[j];
            bool due = order[i].scheduled == SCHEDULED
                           ? other_is_due(item, order[i].kind, errand)
                           : slot_is_due(agenda, item, order[i].scheduled, errand);

            if (due && !component_locked(agenda->options->state_path, item->component->name))
                return true;
        }
    }
    return false;
}

static struct item *item_of(struct agenda *agenda, const struct errand *errand)
{
    return &agenda->items[errand->component - agenda->options->components];
}

static void note_start(struct planned *planned)
{
    planned->before_ms = planned->started_ms;
    planned->started_ms = clock_wall_ms();
}

/* The slot still waits: a command took the component's lock between our look at it and the job's,
 * or another agent works on it, and may fail. */
static void take_back_start(struct item *item, const lifeboat_v1_Report *report)
{
    bool claimed = strcmp(report->error.kind, err_kind_name(ERR_CLAIMED)) == 0;
    bool refused = strcmp(report->error.kind, err_kind_name(ERR_REFUSED)) == 0;

    if (report->outcome != lifeboat_v1_Outcome_SKIPPED || (!claimed && !refused))
        return;
    for (size_t kind = 0; kind < SCHEDULED; kind++) {
        struct planned *planned = &item->planned[kind];

        if (scheduled_kinds[kind] != report->kind)
            continue;
        planned->started_ms = planned->before_ms;
        if (claimed)
            planned->again_mono_us =
                clock_mono_us() + item->component->stall_timeout_ms * 1000 / LOOKS_PER_TIMEOUT;
    }
}

void agenda_started(struct agenda *agenda, const struct errand *errand)
{
    struct item *item = item_of(agenda, errand);

    for (size_t kind = 0; kind < SCHEDULED; kind++)
        if (scheduled_kinds[kind] == errand->kind)
            note_start(&item->planned[kind]);
    if (errand->kind == lifeboat_v1_JobKind_PRUNE)
        item->must_clean = false;
}

/* For as long as it runs, a dump holds back vacuum and makes a change of a table wait. */
static void warn_if_long(const struct item *item, const lifeboat_v1_Report *report)
{
    int64_t interval_ms = item->planned[0].interval_ms;
    int64_t took_ms = report->ended_ms - report->started_ms;

    if (report->kind == lifeboat_v1_JobKind_BACKUP && interval_ms > 0 && took_ms > interval_ms / 2)
        log_warn("a backup takes more than half of its interval; make it rarer, or look what holds "
                 "it up",
                 LOG_TEXT("component", item->component->name), LOG_NUMBER("took_ms", took_ms),
                 LOG_NUMBER("interval_ms", interval_ms));
}

void agenda_ended(struct agenda *agenda, const struct errand *errand,
                  const lifeboat_v1_Report *report, bool died)
{
    struct item *item = item_of(agenda, errand);
    lifeboat_v1_Outcome outcome = report->outcome;

    agenda_refresh(agenda);
    /* A prune that dies is not begun again at once. */
    if (died && errand->kind != lifeboat_v1_JobKind_PRUNE)
        item->must_clean = true;
    warn_if_long(item, report);
    take_back_start(item, report);
    if (outcome == lifeboat_v1_Outcome_DONE && (errand->kind == lifeboat_v1_JobKind_BACKUP ||
                                                errand->kind == lifeboat_v1_JobKind_UPLOAD)) {
        /* The store is there. */
        item->uploads_failed = 0;
        item->upload_mono_us = 0;
    } else if (errand->kind == lifeboat_v1_JobKind_UPLOAD ||
               errand->kind == lifeboat_v1_JobKind_BACKUP) {
        item->upload_mono_us =
            clock_mono_us() +
            1000 * (UPLOAD_LEAST_MS +
                    backoff_ms(++item->uploads_failed, UPLOAD_FIRST_MS, UPLOAD_MOST_MS));
    }
}

size_t agenda_count(const struct agenda *agenda)
{
    return agenda->count;
}

const struct component_options *agenda_component(const struct agenda *agenda, size_t index)
{
    return agenda->items[index].component;
}

const lifeboat_v1_ComponentState *agenda_state(const struct agenda *agenda, size_t index)
{
    return &agenda->items[index].state;
}

static size_t scheduled_index(lifeboat_v1_JobKind kind)
{
    size_t i = 0;

    while (i + 1 < SCHEDULED && scheduled_kinds[i] != kind)
        i++;
    return i;
}

int64_t agenda_interval_ms(const struct agenda *agenda, size_t index, lifeboat_v1_JobKind kind)
{
    return agenda->items[index].planned[scheduled_index(kind)].interval_ms;
}

int64_t agenda_next_ms(const struct agenda *agenda, size_t index, lifeboat_v1_JobKind kind)
{
    struct plan_slot slot;

    return next_slot(agenda, &agenda->items[index], scheduled_index(kind), clock_wall_ms(), &slot)
               ? slot.start_ms
               : 0;
}
