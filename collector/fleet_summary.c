// SPDX-License-Identifier: Apache-2.0
// The fleet as metrics want it: each component once, whichever pods serve it, and each pod once.
#include "fleet.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct served {
    const struct fleet_agent *agent;
    const struct fleet_component *component;
};

static int compare_texts(const char *const *a, const char *const *b, size_t count)
{
    int order = 0;

    for (size_t i = 0; i < count && order == 0; i++)
        order = strcmp(a[i], b[i]);
    return order;
}

static int compare_served(const void *left, const void *right)
{
    const struct served *a = left;
    const struct served *b = right;

    return compare_texts((const char *[]){a->agent->identity.cluster, a->agent->identity.namespace,
                                          a->component->told.name, a->component->told.system},
                         (const char *[]){b->agent->identity.cluster, b->agent->identity.namespace,
                                          b->component->told.name, b->component->told.system},
                         4);
}

static struct served *list_served(const struct fleet *fleet, size_t *count)
{
    struct served *list = NULL;
    size_t cap = 0;

    *count = 0;
    for (const struct fleet_agent *agent = fleet->agents; agent != NULL; agent = agent->next) {
        for (const struct fleet_component *at = agent->components; at != NULL; at = at->next) {
            if (at->gone)
                continue;
            if (*count == cap) {
                cap = cap == 0 ? 64 : cap * 2;
                list = mem_realloc(list, cap * sizeof *list);
            }
            list[(*count)++] = (struct served){.agent = agent, .component = at};
        }
    }
    if (*count > 0)
        qsort(list, *count, sizeof *list, compare_served);
    return list;
}

/* IN_PART is not good until the backup was sent after all, which the state's good tells. */
static int backup_result(const lifeboat_v1_ComponentState *state)
{
    if (state->backup.outcome == lifeboat_v1_Outcome_IN_PART)
        return state->good;
    return state->backup.outcome == lifeboat_v1_Outcome_DONE;
}

static void raise_to(int64_t *moment_ms, int64_t other_ms)
{
    if (other_ms > *moment_ms)
        *moment_ms = other_ms;
}

static void add_backup(struct fleet_summary *sum, const lifeboat_v1_ComponentState *state)
{
    const lifeboat_v1_KindState *backup = &state->backup;

    if (backup->started_ms > sum->attempt_ms) {
        sum->attempt_ms = backup->started_ms;
        sum->result = backup_result(state);
    }
    if (backup->success_ms > sum->success_ms) {
        sum->success_ms = backup->success_ms;
        sum->success_duration_ms = backup->success_duration_ms;
        sum->stored_bytes = state->stored_bytes;
    }
    raise_to(&sum->recovery_point_ms, state->recovery_point_ms);
    sum->failures += backup->failed + backup->in_part;
}

static void add_drill(struct fleet_summary *sum, const lifeboat_v1_KindState *drill,
                      int64_t *attempt_ms)
{
    if (drill->started_ms > *attempt_ms) {
        *attempt_ms = drill->started_ms;
        sum->drill_result = drill->outcome == lifeboat_v1_Outcome_DONE;
    }
    if (drill->success_ms > sum->drill_success_ms) {
        sum->drill_success_ms = drill->success_ms;
        sum->drill_duration_ms = drill->success_duration_ms;
    }
}

static struct fleet_summary summarise(const struct served *served, size_t count)
{
    const lifeboat_v1_Identity *identity = &served->agent->identity;
    struct fleet_summary sum = {.cluster = identity->cluster,
                                .namespace_ = identity->namespace,
                                .component = served->component->told.name,
                                .system = served->component->told.system,
                                .result = -1,
                                .drill_result = -1};
    int64_t drill_attempt_ms = 0;

    for (size_t i = 0; i < count; i++) {
        const lifeboat_v1_Component *told = &served[i].component->told;

        add_backup(&sum, &told->state);
        add_drill(&sum, &told->state.drill, &drill_attempt_ms);
        raise_to(&sum.verify_success_ms, told->state.verify.success_ms);
        raise_to(&sum.backup_interval_ms, told->backup_interval_ms);
        raise_to(&sum.verify_interval_ms, told->verify_interval_ms);
        raise_to(&sum.drill_interval_ms, told->drill_interval_ms);
        raise_to(&sum.rpo_ms, told->rpo_ms);
        raise_to(&sum.rto_ms, told->rto_ms);
    }
    return sum;
}

struct fleet_summary *fleet_summarise(const struct fleet *fleet, size_t *count)
{
    size_t served_count;
    struct served *served = list_served(fleet, &served_count);
    struct fleet_summary *list = mem_calloc(served_count + 1, sizeof *list);

    *count = 0;
    for (size_t from = 0, to; from < served_count; from = to) {
        for (to = from + 1; to < served_count; to++)
            if (compare_served(&served[from], &served[to]) != 0)
                break;
        list[(*count)++] = summarise(&served[from], to - from);
    }
    free(served);
    return list;
}

static int compare_pod(const struct fleet_agent *a, const struct fleet_agent *b)
{
    return compare_texts(
        (const char *[]){a->identity.cluster, a->identity.namespace, a->identity.pod},
        (const char *[]){b->identity.cluster, b->identity.namespace, b->identity.pod}, 3);
}

static int compare_agents(const void *left, const void *right)
{
    const struct fleet_agent *a = *(const struct fleet_agent *const *)left;
    const struct fleet_agent *b = *(const struct fleet_agent *const *)right;
    int order = compare_pod(a, b);

    if (order != 0)
        return order;
    return (a->last_seen_ms < b->last_seen_ms) - (a->last_seen_ms > b->last_seen_ms);
}

const struct fleet_agent **fleet_pods(const struct fleet *fleet, size_t *count)
{
    const struct fleet_agent **list = mem_calloc(fleet->agent_count + 1, sizeof *list);
    size_t all = 0;

    for (const struct fleet_agent *agent = fleet->agents; agent != NULL; agent = agent->next)
        list[all++] = agent;
    qsort(list, all, sizeof(const struct fleet_agent *), compare_agents);
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (*count == 0 || compare_pod(list[*count - 1], list[i]) != 0)
            list[(*count)++] = list[i];
    return list;
}
