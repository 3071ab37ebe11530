// SPDX-License-Identifier: Apache-2.0
// Agents and their components, as lists: agents are looked up once a connection, components are a
// few for each agent.
#include "fleet.h"

#include "mem.h"
#include "option.h"

#include <stdlib.h>
#include <string.h>

void fleet_init(struct fleet *fleet)
{
    *fleet = (struct fleet){.agents = NULL};
}

static void free_agent(struct fleet_agent *agent)
{
    while (agent->components != NULL) {
        struct fleet_component *next = agent->components->next;

        free(agent->components);
        agent->components = next;
    }
    free(agent);
}

void fleet_fini(struct fleet *fleet)
{
    while (fleet->agents != NULL) {
        struct fleet_agent *next = fleet->agents->next;

        free_agent(fleet->agents);
        fleet->agents = next;
    }
    fleet->agent_count = 0;
}

struct fleet_agent *fleet_find(const struct fleet *fleet,
                               const uint8_t instance[FLEET_INSTANCE_BYTES])
{
    for (struct fleet_agent *agent = fleet->agents; agent != NULL; agent = agent->next)
        if (memcmp(agent->instance, instance, sizeof agent->instance) == 0)
            return agent;
    return NULL;
}

struct fleet_agent *fleet_add(struct fleet *fleet, const uint8_t instance[FLEET_INSTANCE_BYTES])
{
    struct fleet_agent *agent;

    if (fleet->agent_count >= FLEET_MAX_AGENTS)
        return NULL;
    agent = mem_calloc(1, sizeof *agent);
    memcpy(agent->instance, instance, sizeof agent->instance);
    agent->next = fleet->agents;
    fleet->agents = agent;
    fleet->agent_count++;
    return agent;
}

void fleet_remove(struct fleet *fleet, struct fleet_agent *agent)
{
    struct fleet_agent **slot = &fleet->agents;

    while (*slot != agent)
        slot = &(*slot)->next;
    *slot = agent->next;
    fleet->agent_count--;
    free_agent(agent);
}

static struct fleet_component *find_any(const struct fleet_agent *agent, const char *name,
                                        size_t *count)
{
    *count = 0;
    for (struct fleet_component *at = agent->components; at != NULL; at = at->next) {
        if (strcmp(at->told.name, name) == 0)
            return at;
        *count += 1;
    }
    return NULL;
}

struct fleet_component *fleet_component(const struct fleet_agent *agent, const char *name)
{
    size_t count;
    struct fleet_component *component = find_any(agent, name, &count);

    return component == NULL || component->gone ? NULL : component;
}

struct fleet_component *fleet_component_add(struct fleet_agent *agent, const char *name)
{
    size_t count;
    struct fleet_component *component = find_any(agent, name, &count);

    if (component == NULL && count >= FLEET_MAX_COMPONENTS)
        return NULL;
    if (component == NULL) {
        component = mem_calloc(1, sizeof *component);
        WIRE_SET(component->told.name, name);
        component->next = agent->components;
        agent->components = component;
    } else if (component->gone) {
        component->gone = false;
        component->told.state = (lifeboat_v1_ComponentState){.has_backup = false};
    }
    component->dirty = true;
    agent->dirty = true;
    return component;
}

static void free_gone(struct fleet_agent *agent)
{
    struct fleet_component **slot = &agent->components;

    while (*slot != NULL) {
        struct fleet_component *component = *slot;

        component->dirty = false;
        if (component->gone) {
            *slot = component->next;
            free(component);
        } else {
            slot = &component->next;
        }
    }
}

void fleet_committed(struct fleet *fleet)
{
    for (struct fleet_agent *agent = fleet->agents; agent != NULL; agent = agent->next) {
        if (!agent->dirty)
            continue;
        agent->dirty = false;
        agent->sequence = agent->batch_sequence;
        free_gone(agent);
    }
}

void fleet_rolled_back(struct fleet *fleet)
{
    for (struct fleet_agent *agent = fleet->agents; agent != NULL; agent = agent->next)
        agent->batch_sequence = agent->sequence;
}

static void forget(struct fleet_agent *agent, struct fleet_component *component)
{
    component->gone = true;
    component->dirty = true;
    agent->dirty = true;
}

static int check_name(const char *what, const char *name, struct err *err)
{
    struct err why = ERR_INIT;

    if (option_check_name(name, &why) == 0)
        return 0;
    return err_set(err, ERR_CORRUPT, "the %s of a component in the inventory %s", what, why.text);
}

static int64_t positive(int64_t ms)
{
    return ms < 0 ? 0 : ms;
}

static int take_component(struct fleet_agent *agent, const lifeboat_v1_Component *told,
                          int64_t now_ms, struct err *err)
{
    struct fleet_component *component;
    lifeboat_v1_ComponentState state;

    if (check_name("name", told->name, err) < 0 || check_name("system", told->system, err) < 0)
        return -1;
    component = fleet_component_add(agent, told->name);
    if (component == NULL)
        return err_set(err, ERR_CORRUPT, "more than %d components in one inventory",
                       FLEET_MAX_COMPONENTS);
    state = component->told.state;
    if (told->has_state)
        fleet_merge(&state, &told->state, now_ms);
    component->told = *told;
    component->told.has_state = true;
    component->told.state = state;
    component->told.backup_interval_ms = positive(told->backup_interval_ms);
    component->told.verify_interval_ms = positive(told->verify_interval_ms);
    component->told.drill_interval_ms = positive(told->drill_interval_ms);
    component->told.rpo_ms = positive(told->rpo_ms);
    component->told.rto_ms = positive(told->rto_ms);
    component->inventory = agent->inventory;
    return 0;
}

static bool same_pod(const struct fleet_agent *a, const struct fleet_agent *b)
{
    return strcmp(a->identity.cluster, b->identity.cluster) == 0 &&
           strcmp(a->identity.namespace, b->identity.namespace) == 0 &&
           strcmp(a->identity.pod, b->identity.pod) == 0;
}

/* A pod whose state folder was lost comes back as another instance. What the earlier one told of
 * its components is still true, but nobody will ever tell that they are configured no more. */
static void take_over(struct fleet *fleet, struct fleet_agent *agent, int64_t now_ms)
{
    for (struct fleet_agent *old = fleet->agents; old != NULL; old = old->next) {
        if (old == agent || old->session != NULL || !same_pod(old, agent))
            continue;
        for (struct fleet_component *from = old->components; from != NULL; from = from->next) {
            struct fleet_component *to = fleet_component(agent, from->told.name);

            if (from->gone)
                continue;
            if (to != NULL)
                fleet_merge(&to->told.state, &from->told.state, now_ms);
            forget(old, from);
        }
    }
}

int fleet_inventory(struct fleet *fleet, struct fleet_agent *agent,
                    const lifeboat_v1_Inventory *page, int64_t now_ms, struct err *err)
{
    if (page->page == 0)
        agent->inventory++;
    else if (page->page != agent->inventory_page)
        return err_set(err, ERR_CORRUPT, "page %u of an inventory where %u must come", page->page,
                       agent->inventory_page);
    agent->inventory_page = page->last ? 0 : page->page + 1;
    for (size_t i = 0; i < page->components_count; i++)
        if (take_component(agent, &page->components[i], now_ms, err) < 0)
            return -1;
    if (!page->last)
        return 0;
    for (struct fleet_component *at = agent->components; at != NULL; at = at->next)
        if (at->inventory != agent->inventory && !at->gone)
            forget(agent, at);
    take_over(fleet, agent, now_ms);
    return 0;
}

void fleet_heartbeat(struct fleet_agent *agent, const lifeboat_v1_Heartbeat *heartbeat)
{
    agent->heard = true;
    agent->config_valid = heartbeat->config_valid;
    agent->fallback_bytes = heartbeat->fallback_bytes;
    agent->dirty = true;
}

void fleet_report(struct fleet_agent *agent, const lifeboat_v1_Report *report, int64_t now_ms)
{
    struct fleet_component *component = fleet_component(agent, report->component);

    agent->dirty = true;
    if (component == NULL || !report->has_state)
        return;
    fleet_merge(&component->told.state, &report->state, now_ms);
    component->told.has_state = true;
    component->dirty = true;
}
