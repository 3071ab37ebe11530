// SPDX-License-Identifier: Apache-2.0
// The daemon's loop: it starts what is due, one job at a time, listens to it, and looks after the
// configuration, the link and the metrics meanwhile. Every few seconds it asks what is due by the
// clock on the wall; it never waits for a moment, so that a clock which jumps is noticed. SIGHUP
// looks at everything at once.
#include "run.h"

#include "agenda.h"
#include "child.h"
#include "clock.h"
#include "config.h"
#include "health.h"
#include "journal.h"
#include "link.h"
#include "log.h"
#include "mem.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TICK_S 5.0
#define STORES                                                                                     \
    (sizeof((lifeboat_v1_Component *)NULL)->stores /                                               \
     sizeof((lifeboat_v1_Component *)NULL)->stores[0])
#define STOP_S 1.75 /* SIGTERM ends everything within two seconds */
#define LAST_S 0.15 /* for what was killed then to be seen and written down */

struct daemon {
    struct ev_loop *loop;
    struct config config;
    struct agenda *agenda;
    struct link *link;
    struct health *health;
    struct job_child *child;
    struct errand errand; /* of child; its component only while the options live */
    int64_t began_ms, child_since_ms;
    bool stopping, killed; /* the job was asked to stop; it was killed */
    ev_timer tick, stop;
    ev_signal on_term, on_int, on_hup;
};

static void work(struct daemon *daemon);

static uint64_t fallback_bytes(const struct daemon *daemon)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < agenda_count(daemon->agenda); i++)
        sum += agenda_state(daemon->agenda, i)->fallback_bytes;
    return sum;
}

static size_t inventory_count(void *arg)
{
    return agenda_count(((struct daemon *)arg)->agenda);
}

static void inventory_item(void *arg, size_t index, lifeboat_v1_Component *component)
{
    const struct agenda *agenda = ((struct daemon *)arg)->agenda;
    const struct component_options *options = agenda_component(agenda, index);

    WIRE_SET(component->name, options->name);
    WIRE_SET(component->system, system_kind_name(options->system));
    for (size_t i = 0; i < options->stores.count && i < STORES; i++) {
        WIRE_SET(component->stores[i], options->stores.items[i]);
        component->stores_count = (pb_size_t)(i + 1);
    }
    WIRE_SET(component->schedule, options->schedule);
    component->backup_interval_ms = agenda_interval_ms(agenda, index, lifeboat_v1_JobKind_BACKUP);
    component->verify_interval_ms = agenda_interval_ms(agenda, index, lifeboat_v1_JobKind_VERIFY);
    component->drill_interval_ms = agenda_interval_ms(agenda, index, lifeboat_v1_JobKind_DRILL);
    component->rpo_ms = options->objective_rpo_ms;
    component->rto_ms = options->objective_rto_ms;
    component->has_state = true;
    component->state = *agenda_state(agenda, index);
}

static void fill_heartbeat(void *arg, lifeboat_v1_Heartbeat *heartbeat)
{
    const struct daemon *daemon = arg;

    heartbeat->config_valid = daemon->config.valid;
    heartbeat->fallback_bytes = fallback_bytes(daemon);
    heartbeat->memory_bytes = health_memory_bytes();
    WIRE_SET(heartbeat->running, daemon->child == NULL ? NULL : daemon->errand.component->name);
}

static void show(void *arg, struct health_view *view)
{
    const struct daemon *daemon = arg;

    *view = (struct health_view){
        .agenda = daemon->agenda,
        .link = daemon->link,
        .running = daemon->child == NULL ? NULL : daemon->errand.component->name,
        .running_kind = daemon->errand.kind,
        .running_since_ms = daemon->child_since_ms,
        .config_valid = daemon->config.valid,
    };
}

/* What follows from the options, at the start and after a change. */
static void apply_options(struct daemon *daemon)
{
    const struct link_source source = {.components = inventory_count,
                                       .component = inventory_item,
                                       .heartbeat = fill_heartbeat,
                                       .arg = daemon};
    const struct agent_options *options = daemon->config.options;
    struct err err = ERR_INIT;

    log_options_apply(&options->log);
    if (health_listen(daemon->health, daemon->loop, options->http_listen, &err) < 0)
        log_err("health and metrics are not served", &err, NULL, 0);
    if (options->collector.address != NULL)
        daemon->link = link_new(daemon->loop, options, &source);
}

/* Between jobs only: a job's errand lends from the options. */
static void look_at_config(struct daemon *daemon)
{
    struct agent_options *old = daemon->config.options;
    struct agenda *earlier = daemon->agenda;

    if (config_look(&daemon->config) == 0)
        return;
    link_free(daemon->link);
    daemon->link = NULL;
    daemon->agenda = agenda_new(daemon->config.options, daemon->began_ms, earlier);
    agenda_free(earlier);
    agent_options_free(old);
    apply_options(daemon);
}

static void on_progress(void *arg, const lifeboat_v1_Progress *progress)
{
    health_progress(((struct daemon *)arg)->health, progress);
}

static void on_ended(void *arg, lifeboat_v1_Report *report, bool recorded)
{
    struct daemon *daemon = arg;
    const struct agent_options *options = daemon->config.options;
    struct errand errand = daemon->errand;
    struct err err = ERR_INIT;

    daemon->child = NULL;
    if (!recorded) {
        log_warn("a job left no word", LOG_TEXT("component", report->component),
                 LOG_TEXT("kind", wire_kind_name(report->kind)),
                 LOG_TEXT("err", report->error.text));
        if (journal_record(options->state_path, report, options->collector.address != NULL, &err) <
            0)
            log_err("a report is not kept", &err, NULL, 0);
    }
    health_job_ended(daemon->health, report);
    agenda_ended(daemon->agenda, &errand, report, !recorded);
    if (daemon->stopping) {
        ev_break(daemon->loop, EVBREAK_ALL);
        return;
    }
    link_look(daemon->link);
    /* The next job, if one is due, from a fresh turn of the loop. */
    ev_feed_event(daemon->loop, &daemon->tick, EV_TIMER);
}

static void start(struct daemon *daemon, const struct errand *errand)
{
    const struct child_handlers handlers = {
        .progress = on_progress, .ended = on_ended, .arg = daemon};
    struct err err = ERR_INIT;
    const struct log_field fields[] = {LOG_TEXT("component", errand->component->name),
                                       LOG_TEXT("kind", wire_kind_name(errand->kind))};

    agenda_started(daemon->agenda, errand);
    daemon->errand = *errand;
    daemon->child_since_ms = clock_wall_ms();
    if (child_start(daemon->loop, &daemon->config, errand, &handlers, &daemon->child, &err) < 0)
        log_err("a job cannot be started", &err, fields, 2);
}

static void work(struct daemon *daemon)
{
    struct errand errand;

    if (daemon->stopping)
        return;
    if (daemon->child == NULL)
        look_at_config(daemon);
    agenda_refresh(daemon->agenda);
    link_look(daemon->link);
    if (daemon->child == NULL && agenda_due(daemon->agenda, &errand))
        start(daemon, &errand);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    work(timer->data);
}

static void on_hup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    work(watcher->data);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct daemon *daemon = timer->data;

    (void)events;
    if (daemon->child == NULL || daemon->killed) {
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    daemon->killed = true;
    child_stop(daemon->child, true, "the agent was stopped");
    ev_timer_again(loop, timer);
}

static void on_stop(struct ev_loop *loop, ev_signal *watcher, int events)
{
    struct daemon *daemon = watcher->data;

    (void)events;
    log_info("stopping", LOG_TEXT("signal", watcher->signum == SIGTERM ? "SIGTERM" : "SIGINT"));
    if (daemon->stopping || daemon->child == NULL) {
        on_late(loop, &daemon->stop, 0);
        return;
    }
    daemon->stopping = true;
    child_stop(daemon->child, false, "the agent was stopped");
    ev_timer_start(loop, &daemon->stop);
}

static void watch(struct daemon *daemon)
{
    ev_timer_init(&daemon->tick, on_tick, 0, TICK_S);
    ev_timer_init(&daemon->stop, on_late, STOP_S, LAST_S);
    ev_signal_init(&daemon->on_term, on_stop, SIGTERM);
    ev_signal_init(&daemon->on_int, on_stop, SIGINT);
    ev_signal_init(&daemon->on_hup, on_hup, SIGHUP);
    daemon->tick.data = daemon->stop.data = daemon;
    daemon->on_term.data = daemon->on_int.data = daemon->on_hup.data = daemon;
    ev_timer_start(daemon->loop, &daemon->tick);
    ev_signal_start(daemon->loop, &daemon->on_term);
    ev_signal_start(daemon->loop, &daemon->on_int);
    ev_signal_start(daemon->loop, &daemon->on_hup);
}

int run_daemon(const char *config_path)
{
    struct daemon daemon = {.began_ms = clock_wall_ms()};
    struct err err = ERR_INIT;

    if (config_open(config_path, &daemon.config, &err) < 0) {
        log_err("lifeboat-agent cannot start", &err, NULL, 0);
        config_close(&daemon.config);
        return err_kind_exit_status(err.kind);
    }
    signal(SIGPIPE, SIG_IGN);
    /* Not libev's default loop, which waits for every child itself: how a job ended would be lost
     * now and then. */
    daemon.loop = ev_loop_new(EVFLAG_AUTO);
    daemon.health = health_new(show, &daemon);
    daemon.agenda = agenda_new(daemon.config.options, daemon.began_ms, NULL);
    apply_options(&daemon);
    log_info("lifeboat-agent runs", LOG_TEXT("version", LIFEBOAT_VERSION),
             LOG_NUMBER("components", daemon.config.options->component_count));
    watch(&daemon);
    ev_run(daemon.loop, 0);
    link_free(daemon.link);
    agenda_free(daemon.agenda);
    health_free(daemon.health);
    config_close(&daemon.config);
    ev_loop_destroy(daemon.loop);
    return 0;
}
