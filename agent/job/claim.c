// SPDX-License-Identifier: Apache-2.0
// Signs of life are sent from the pump's watcher: between its turns, over a store and a loop of
// their own, because the pump's may be in the middle of a put.
#include "claim.h"

#include "backup_id.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "schedule.h"
#include "text.h"

#include <ev.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TURNS         100 /* of one slot */
#define CLAIM_MAX_BYTES   ((size_t)64 << 10)
#define SIGNS_PER_TIMEOUT 5

struct claim {
    struct site *site; /* of its own */
    struct ev_loop *loop;
    char *base; /* the key without its ending */
    const struct pump_watcher *next;
    int64_t sign_mono_us; /* of the next sign */
    unsigned signs;
};

/* What is known of one turn at a slot. */
struct turn {
    const char *base;
    bool claimed, done, failed;
    int64_t seen_ms; /* the youngest of its files, by the store's clock */
};

static char *folder_of(const struct site *site, const char *lineage)
{
    return text_format("%s/%s/claims/", site->root, lineage);
}

/* Slots of "@every" begin with each daemon; rounded down, all mean the same one. */
static int64_t common_slot(const struct component_options *component, int64_t slot_ms)
{
    struct schedule schedule;

    if (component->schedule != NULL && schedule_parse(component->schedule, &schedule) == 0 &&
        schedule.every_ms > 0)
        return slot_ms - slot_ms % schedule.every_ms;
    return slot_ms;
}

static char *turn_base(const struct site *site, const char *lineage, int64_t slot_ms, unsigned turn)
{
    char *folder = folder_of(site, lineage);
    char when[CLOCK_TEXT_CAP];
    char *base = turn == 1
                     ? text_format("%s%s", folder, clock_format_compact(slot_ms, when))
                     : text_format("%s%s-%u", folder, clock_format_compact(slot_ms, when), turn);

    free(folder);
    return base;
}

static int on_file(void *arg, const struct store_entry *entry, struct err *err)
{
    struct turn *turn = arg;
    const char *ending = entry->key + strlen(turn->base);

    (void)err;
    if (strcmp(ending, ".json") == 0)
        turn->claimed = true;
    else if (strcmp(ending, "-done.json") == 0)
        turn->done = true;
    else if (strcmp(ending, "-failed.json") == 0)
        turn->failed = true;
    else if (!text_starts_with(ending, "-alive-"))
        return 0; /* of another turn */
    if (entry->modified_ms > turn->seen_ms)
        turn->seen_ms = entry->modified_ms;
    return 0;
}

/* The pod that claimed; NULL when it has no name, or cannot be read. free() it. */
static char *owner_of(struct site *site, const char *base)
{
    char *key = text_format("%s.json", base);
    struct err err = ERR_INIT;
    char *data = NULL;
    size_t len = 0;
    json_t *json = NULL;
    char *owner = NULL;

    if (site_get(site, key, CLAIM_MAX_BYTES, &data, &len, &err) == 0)
        json = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_string(json_object_get(json, "pod"))) {
        owner = mem_strdup(json_string_value(json_object_get(json, "pod")));
        text_fix_utf8(owner);
    }
    json_decref(json);
    free(data);
    free(key);
    return owner;
}

/* 0: the turn is over without a backup; else why it is not ours. */
static int judge(struct site *site, const struct turn *turn, int64_t store_ms, struct err *err)
{
    const char *own = site->options->identity.pod;
    int64_t silent_ms = store_ms - turn->seen_ms;
    char *owner = owner_of(site, turn->base);
    char shown[24];
    int rc = -1;

    if (turn->done)
        err_set(err, ERR_ELSEWHERE, "this slot is backed up, by %s",
                owner == NULL ? "another agent" : owner);
    /* We hold the component's lock: a job of our own that claimed is dead. */
    else if (turn->failed || silent_ms > site->component->stall_timeout_ms ||
             (owner != NULL && own != NULL && strcmp(owner, own) == 0))
        rc = 0;
    else
        err_set(err, ERR_CLAIMED, "%s works on this slot, and gave its last sign of life %s ago",
                owner == NULL ? "another agent" : owner,
                text_show_duration(silent_ms < 0 ? 0 : silent_ms, shown, sizeof shown));
    free(owner);
    return rc;
}

static int put_claim(struct site *site, const char *base, struct err *err)
{
    const struct identity_options *identity = &site->options->identity;
    char *key = text_format("%s.json", base);
    char id[BACKUP_ID_CAP], when[CLOCK_TEXT_CAP];
    json_t *json;
    char *text;
    int rc;

    /* Equal bytes would be taken for one's own, said twice: the id makes them differ. */
    backup_id_make(clock_wall_ms(), id);
    json = json_pack("{s:s*, s:s*, s:s, s:s}", "workload", identity->workload, "pod", identity->pod,
                     "id", id, "time", clock_format(clock_wall_ms(), when));
    text = json_dumps(json, JSON_COMPACT);
    rc = site_put(site, key, text, strlen(text), err);
    free(text);
    json_decref(json);
    free(key);
    return rc;
}

/* The turn that is ours, or -1. */
static int find_turn(struct site *site, const char *lineage, int64_t slot_ms, char **base,
                     struct err *err)
{
    int64_t store_ms;

    for (unsigned number = 1; number <= MAX_TURNS; number++) {
        struct turn turn = {.base = turn_base(site, lineage, slot_ms, number)};
        int rc = site->store->ops->list(site->store, turn.base, on_file, &turn, err);

        if (rc == 0 && !turn.claimed) {
            rc = put_claim(site, turn.base, err);
            if (rc == 0) {
                *base = (char *)(uintptr_t)turn.base;
                return 0;
            }
            if (err->kind == ERR_EXISTS) /* in this very moment: it is looked at again */
                err_set(err, ERR_CLAIMED, "another agent has just begun with this slot");
        } else if (rc == 0 && (rc = site->store->ops->clock(site->store, &store_ms, err)) == 0) {
            rc = judge(site, &turn, store_ms, err);
        }
        free((char *)(uintptr_t)turn.base);
        if (rc < 0)
            return -1;
    }
    return err_set(err, ERR_ELSEWHERE, "%d agents have failed with this slot", MAX_TURNS);
}

static int64_t sign_every_us(const struct claim *claim)
{
    return claim->site->component->stall_timeout_ms * 1000 / SIGNS_PER_TIMEOUT;
}

int claim_take(struct site *site, const char *lineage, int64_t slot_ms, struct claim **claim,
               struct err *err)
{
    struct claim *taken = mem_calloc(1, sizeof *taken);

    slot_ms = common_slot(site->component, slot_ms);
    taken->loop = ev_loop_new(EVFLAG_AUTO);
    if (taken->loop == NULL)
        abort(); /* out of descriptors or memory */
    if (site_open(site->options, site->component, NULL, taken->loop, &taken->site, err) < 0 ||
        find_turn(taken->site, lineage, slot_ms, &taken->base, err) < 0) {
        site_close(taken->site);
        ev_loop_destroy(taken->loop);
        free(taken);
        return -1;
    }
    taken->sign_mono_us = clock_mono_us() + sign_every_us(taken);
    *claim = taken;
    return 0;
}

static char *sign_key(const struct claim *claim, unsigned number)
{
    return text_format("%s-alive-%u.json", claim->base, number);
}

static void give_sign(struct claim *claim)
{
    struct store *store = claim->site->store;
    char *key = sign_key(claim, claim->signs + 1);
    char *before = sign_key(claim, claim->signs);
    struct err err = ERR_INIT;

    if (site_put(claim->site, key, "{}", 2, &err) < 0)
        log_warn("no sign of life could be given", LOG_TEXT("err", err.text));
    else if (++claim->signs > 1 && store->ops->remove(store, before, &err) < 0)
        log_debug("an old sign of life is left", LOG_TEXT("err", err.text));
    free(before);
    free(key);
}

static void on_progress(void *arg, const struct pump_status *status)
{
    struct claim *claim = arg;

    if (claim->next != NULL)
        claim->next->progress(claim->next->arg, status);
    if (clock_mono_us() < claim->sign_mono_us)
        return;
    give_sign(claim);
    claim->sign_mono_us = clock_mono_us() + sign_every_us(claim);
}

struct pump_watcher claim_watcher(struct claim *claim, const struct pump_watcher *next)
{
    claim->next = next;
    return (struct pump_watcher){.progress = on_progress, .arg = claim};
}

void claim_end(struct claim *claim, bool done)
{
    char *key = text_format("%s-%s.json", claim->base, done ? "done" : "failed");
    char *sign = sign_key(claim, claim->signs);
    struct err err = ERR_INIT;

    if (site_put(claim->site, key, "{}", 2, &err) < 0)
        log_warn("how this slot ended could not be said to the other agents",
                 LOG_TEXT("err", err.text));
    else if (claim->signs > 0 &&
             claim->site->store->ops->remove(claim->site->store, sign, &err) < 0)
        log_debug("a sign of life is left", LOG_TEXT("err", err.text));
    free(sign);
    free(key);
    site_close(claim->site);
    ev_loop_destroy(claim->loop);
    free(claim->base);
    free(claim);
}

int claim_sweep(struct site *site, const struct catalog *catalog, int64_t store_ms, struct err *err)
{
    int64_t before_ms = store_ms - site->component->orphan_age_ms;

    for (size_t i = 0; i < catalog->claim_count; i++) {
        const struct claim_file *file = &catalog->claims[i];
        char when[17];
        int64_t slot_ms;

        snprintf(when, sizeof when, "%.16s", strrchr(file->key, '/') + 1);
        if (clock_parse(when, &slot_ms) < 0 || slot_ms >= before_ms ||
            file->modified_ms >= before_ms)
            continue;
        if (site->store->ops->remove(site->store, file->key, err) < 0)
            return -1;
    }
    return 0;
}
