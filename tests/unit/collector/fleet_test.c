// SPDX-License-Identifier: Apache-2.0
// What agents tell, merged: in any order, twice, by several pods, with clocks that are wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW ((int64_t)1000000)

enum {
    DONE = lifeboat_v1_Outcome_DONE,
    FAILED = lifeboat_v1_Outcome_FAILED,
    IN_PART = lifeboat_v1_Outcome_IN_PART,
};

static struct fleet fleet;

static int setup(void **state)
{
    (void)state;
    fleet_init(&fleet);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fleet_fini(&fleet);
    return 0;
}

static struct fleet_agent *add_agent(uint8_t number, const char *pod)
{
    const uint8_t instance[FLEET_INSTANCE_BYTES] = {number};
    struct fleet_agent *agent = fleet_add(&fleet, instance);

    WIRE_SET(agent->identity.cluster, "prod");
    WIRE_SET(agent->identity.namespace, "aipx");
    WIRE_SET(agent->identity.workload, "postgresql");
    WIRE_SET(agent->identity.pod, pod);
    return agent;
}

/* A state whose only job is a backup. */
static lifeboat_v1_ComponentState backup_state(int64_t started_ms, int outcome, int64_t success_ms)
{
    lifeboat_v1_ComponentState state = {
        .has_backup = true,
        .backup = {.started_ms = started_ms,
                   .ended_ms = started_ms + 10,
                   .outcome = (lifeboat_v1_Outcome)outcome,
                   .success_ms = success_ms,
                   .success_duration_ms = success_ms > 0 ? 10 : 0},
        .recovery_point_ms = success_ms > 0 ? success_ms - 5 : 0,
        .stored_bytes = (uint64_t)success_ms,
        .good = outcome == DONE,
    };

    return state;
}

/* An inventory of one page with one component in that state. */
static void tell(struct fleet_agent *agent, const char *name,
                 const lifeboat_v1_ComponentState *state)
{
    lifeboat_v1_Inventory page = {.last = true, .components_count = 1};
    struct err err = ERR_INIT;

    WIRE_SET(page.components[0].name, name);
    WIRE_SET(page.components[0].system, "postgres");
    page.components[0].backup_interval_ms = 900000;
    page.components[0].has_state = true;
    page.components[0].state = *state;
    if (fleet_inventory(&fleet, agent, &page, NOW, &err) < 0)
        fail_msg("%s", err.text);
}

static struct fleet_summary only_summary(void)
{
    size_t count;
    struct fleet_summary *list = fleet_summarise(&fleet, &count);
    struct fleet_summary sum = list[0];

    assert_int_equal(count, 1);
    free(list);
    return sum;
}

static void test_order_and_repetition_do_not_matter(void **state)
{
    const lifeboat_v1_ComponentState told[] = {
        backup_state(1000, DONE, 1010),
        backup_state(2000, FAILED, 1010),
        backup_state(3000, IN_PART, 1010),
        backup_state(4000, DONE, 4010),
    };
    static const size_t orders[][6] = {
        {0, 1, 2, 3, 3, 3}, {3, 2, 1, 0, 0, 0}, {3, 0, 1, 2, 3, 1}, {1, 3, 1, 0, 2, 0}};
    (void)state;

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        lifeboat_v1_ComponentState known = {.good = false};

        for (size_t j = 0; j < 6; j++)
            fleet_merge(&known, &told[orders[i][j]], NOW);
        assert_int_equal(known.backup.started_ms, 4000);
        assert_int_equal(known.backup.outcome, DONE);
        assert_int_equal(known.backup.success_ms, 4010);
        assert_int_equal(known.recovery_point_ms, 4005);
        assert_int_equal(known.stored_bytes, 4010);
        assert_true(known.good);
    }
}

static void test_moments_in_the_future_are_now(void **state)
{
    const lifeboat_v1_ComponentState told = backup_state(NOW + 5000, DONE, NOW + 9000);
    const lifeboat_v1_ComponentState negative = backup_state(-5, FAILED, INT64_MIN);
    lifeboat_v1_ComponentState known = {.good = false};
    (void)state;

    fleet_merge(&known, &negative, NOW);
    assert_int_equal(known.backup.success_ms, 0);
    assert_int_equal(known.recovery_point_ms, 0);
    fleet_merge(&known, &told, NOW);
    assert_int_equal(known.backup.started_ms, NOW);
    assert_int_equal(known.backup.success_ms, NOW);
    assert_int_equal(known.recovery_point_ms, NOW);
}

/* The link was down; the inventory tells of now, the reports that waited tell of before. */
static void test_reports_that_waited_do_not_turn_time_back(void **state)
{
    struct fleet_agent *agent = add_agent(1, "postgresql-0");
    lifeboat_v1_ComponentState now = backup_state(3000, IN_PART, 1010);
    lifeboat_v1_Report waited = {.has_state = true, .state = backup_state(3000, IN_PART, 1010)};
    (void)state;

    now.good = true; /* sent since */
    now.backup.success_ms = 3010;
    now.has_upload = true;
    now.upload.started_ms = 5000;
    now.upload.ended_ms = 5010;
    WIRE_SET(waited.component, "orders-db");
    waited.state.fallback_bytes = 77;
    tell(agent, "orders-db", &now);
    fleet_report(agent, &waited, NOW);
    assert_int_equal(only_summary().result, 1);
    assert_int_equal(only_summary().success_ms, 3010);
    assert_int_equal(fleet_component(agent, "orders-db")->told.state.fallback_bytes, 0);
}

static void test_local_disk_only_is_no_success(void **state)
{
    lifeboat_v1_ComponentState told = backup_state(3000, IN_PART, 1010);
    (void)state;

    told.backup.in_part = 1;
    tell(add_agent(1, "postgresql-0"), "orders-db", &told);
    assert_int_equal(only_summary().result, 0);
    assert_int_equal(only_summary().success_ms, 1010);
    assert_int_equal(only_summary().attempt_ms, 3000);
    assert_int_equal(only_summary().failures, 1);
}

static void test_configured_but_never_tried(void **state)
{
    const lifeboat_v1_ComponentState nothing = {.good = false};
    (void)state;

    tell(add_agent(1, "postgresql-0"), "orders-db", &nothing);
    assert_int_equal(only_summary().result, -1);
    assert_int_equal(only_summary().success_ms, 0);
    assert_int_equal(only_summary().backup_interval_ms, 900000);
}

static void test_several_pods_are_one_component(void **state)
{
    lifeboat_v1_ComponentState first = backup_state(1000, FAILED, 500);
    lifeboat_v1_ComponentState second = backup_state(2000, DONE, 2010);
    (void)state;

    first.backup.failed = 3;
    second.backup.failed = 4;
    tell(add_agent(1, "postgresql-0"), "orders-db", &first);
    tell(add_agent(2, "postgresql-1"), "orders-db", &second);
    assert_int_equal(only_summary().result, 1);
    assert_int_equal(only_summary().success_ms, 2010);
    assert_int_equal(only_summary().stored_bytes, 2010);
    assert_int_equal(only_summary().failures, 7);
}

static void test_what_an_inventory_names_no_more_is_gone(void **state)
{
    const lifeboat_v1_ComponentState told = backup_state(1000, DONE, 1010);
    struct fleet_agent *agent = add_agent(1, "postgresql-0");
    (void)state;

    tell(agent, "orders-db", &told);
    tell(agent, "users-db", &told);
    assert_null(fleet_component(agent, "orders-db"));
    assert_string_equal(only_summary().component, "users-db");
    fleet_committed(&fleet);
    assert_null(agent->components->next);
    tell(agent, "orders-db", &told);
    assert_string_equal(only_summary().component, "orders-db");
}

static void test_a_pod_that_lost_its_state_keeps_its_history(void **state)
{
    const lifeboat_v1_ComponentState before = backup_state(1000, DONE, 1010);
    const lifeboat_v1_ComponentState nothing = {.good = false};
    struct fleet_agent *old = add_agent(1, "postgresql-0");
    struct fleet_agent *other = add_agent(3, "postgresql-1");
    size_t count;
    (void)state;

    tell(old, "orders-db", &before);
    tell(other, "orders-db", &nothing);
    tell(add_agent(2, "postgresql-0"), "orders-db", &nothing);
    assert_null(fleet_component(old, "orders-db"));
    assert_non_null(fleet_component(other, "orders-db"));
    assert_int_equal(only_summary().success_ms, 1010);
    assert_int_equal(only_summary().result, 1);
    free(fleet_pods(&fleet, &count));
    assert_int_equal(count, 2);
}

static void test_wrong_inventories_are_refused(void **state)
{
    struct fleet_agent *agent = add_agent(1, "postgresql-0");
    lifeboat_v1_Inventory page = {.page = 1};
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(fleet_inventory(&fleet, agent, &page, NOW, &err), -1);
    page.page = 0;
    page.components_count = 1;
    WIRE_SET(page.components[0].name, "../x");
    WIRE_SET(page.components[0].system, "postgres");
    assert_int_equal(fleet_inventory(&fleet, agent, &page, NOW, &err), -1);
    for (int i = 0; i <= FLEET_MAX_COMPONENTS; i++) {
        snprintf(page.components[0].name, sizeof page.components[0].name, "db-%d", i);
        page.page = (uint32_t)i;
        assert_int_equal(fleet_inventory(&fleet, agent, &page, NOW, &err),
                         i < FLEET_MAX_COMPONENTS ? 0 : -1);
    }
    assert_non_null(strstr(err.text, "more than 256"));
}

static void test_a_report_of_what_is_not_configured_changes_nothing(void **state)
{
    struct fleet_agent *agent = add_agent(1, "postgresql-0");
    lifeboat_v1_Report report = {.has_state = true, .state = backup_state(1000, DONE, 1010)};
    size_t count;
    (void)state;

    WIRE_SET(report.component, "gone-db");
    fleet_report(agent, &report, NOW);
    free(fleet_summarise(&fleet, &count));
    assert_int_equal(count, 0);
}

static void test_pods_come_once_with_the_one_seen_last(void **state)
{
    const struct fleet_agent **pods;
    struct fleet_agent *late;
    size_t count;
    (void)state;

    add_agent(1, "b")->last_seen_ms = 5;
    late = add_agent(2, "b");
    late->last_seen_ms = 9;
    add_agent(3, "b")->last_seen_ms = 7;
    add_agent(4, "a")->last_seen_ms = 1;
    pods = fleet_pods(&fleet, &count);
    assert_int_equal(count, 2);
    assert_string_equal(pods[0]->identity.pod, "a");
    assert_ptr_equal(pods[1], late);
    free(pods);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_and_repetition_do_not_matter),
        TEST(test_moments_in_the_future_are_now),
        TEST(test_reports_that_waited_do_not_turn_time_back),
        TEST(test_local_disk_only_is_no_success),
        TEST(test_configured_but_never_tried),
        TEST(test_several_pods_are_one_component),
        TEST(test_what_an_inventory_names_no_more_is_gone),
        TEST(test_a_pod_that_lost_its_state_keeps_its_history),
        TEST(test_wrong_inventories_are_refused),
        TEST(test_a_report_of_what_is_not_configured_changes_nothing),
        TEST(test_pods_come_once_with_the_one_seen_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
