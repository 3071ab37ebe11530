// SPDX-License-Identifier: Apache-2.0
// restore: says what is at stake, asks where a person sits at the terminal, and restores.
#include "restore.h"

#include "cancel.h"
#include "clock.h"
#include "commands.h"
#include "job.h"
#include "log.h"
#include "origin.h"
#include "recording.h"
#include "text.h"
#include "verify.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct question {
    const struct job *job;
    const struct target *target;
    const struct chosen *chosen;
};

/* Whether what is live is restored, and whole. */
static bool is_in_place(const struct invocation *in)
{
    return in->to == NULL && in->topic == NULL && in->to_topic == NULL && !in->append;
}

static bool is_about_topics(const struct invocation *in)
{
    return in->topic != NULL || in->to_topic != NULL || in->until != NULL || in->append ||
           in->replace;
}

/* "recovery point 02:45:00Z, you lose 13 min 22 s; the last drill took 19 min" */
static char *what_is_lost(const struct question *question)
{
    const struct chosen *chosen = question->chosen;
    const struct manifest *manifest = chosen->manifest;
    int64_t age_ms = clock_wall_ms() - manifest->recovery_point_ms;
    int64_t drill_ms = verify_last_drill_ms(chosen->site, manifest->lineage);
    struct text text = TEXT_INIT;
    char when[CLOCK_TEXT_CAP], shown[24];

    if (drill_ms < 0 && !chosen->away && chosen->site != question->target->site)
        drill_ms = verify_last_drill_ms(question->target->site, manifest->lineage);
    text_show_duration(age_ms < 0 ? 0 : age_ms, shown, sizeof shown);
    text_add(&text, "recovery point %s, ", clock_format(manifest->recovery_point_ms, when));
    if (is_in_place(question->job->in))
        text_add(&text, "you lose %s", shown);
    else
        text_add(&text, "%s ago", shown);
    if (drill_ms < 0)
        text_add(&text, "; no drill has proven a backup yet");
    else
        text_add(&text, "; the last drill took %s",
                 text_show_duration(drill_ms, shown, sizeof shown));
    return text_take(&text);
}

/* A line from the terminal; a wish to stop ends the waiting. */
static int read_answer(char *answer, size_t cap, struct err *err)
{
    struct pollfd wait[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = cancel_fd(), .events = POLLIN}};

    while (poll(wait, 2, -1) < 0 && errno == EINTR)
        continue;
    if (cancel_check(err) < 0)
        return -1;
    if (fgets(answer, (int)cap, stdin) == NULL)
        answer[0] = '\0';
    return 0;
}

static int ask(void *arg, const char *stake, struct err *err)
{
    const struct question *question = arg;
    char *lost = what_is_lost(question);
    char answer[16] = "";
    int rc = 0;

    fprintf(stderr, "%s@%s %s; %s\n", question->target->component->name,
            question->chosen->manifest->id, stake, lost);
    free(lost);
    if (question->job->in->yes)
        return 0;
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
        return err_set(err, ERR_USAGE,
                       "restore asks before it acts, and nobody is at a terminal "
                       "here; give --yes");
    fprintf(stderr, "type yes to go on: ");
    rc = read_answer(answer, sizeof answer, err);
    if (rc == 0 && strcmp(answer, "yes\n") != 0)
        rc = err_set(err, ERR_REFUSED, "not confirmed, nothing was changed");
    return rc;
}

static int64_t number(const json_t *findings, const char *key)
{
    return json_integer_value(json_object_get(findings, key));
}

/* "transfer 0.9 s (database 91 %, store 6 %, lifeboat 3 %), statistics 0.2 s, comparison 0.1 s" */
static void print_times(const json_t *findings)
{
    static const struct {
        const char *key, *name;
    } parts[] = {{"analyze_ms", "statistics"},
                 {"compare_ms", "comparison"},
                 {"swap_ms", "swap"},
                 {"aof_ms", "append-only file"}};
    const json_t *transfer = json_object_get(findings, "transfer");
    char shown[24];
    double percent = 100.0 / (double)(number(transfer, "total_ms") + 1);

    printf("transfer %s (database %.0f %%, store %.0f %%, lifeboat %.0f %%)",
           text_show_duration(number(transfer, "total_ms"), shown, sizeof shown),
           (double)number(transfer, "database_ms") * percent,
           (double)number(transfer, "store_ms") * percent,
           (double)number(transfer, "lifeboat_ms") * percent);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (json_object_get(findings, parts[i].key) != NULL)
            printf(", %s %s", parts[i].name,
                   text_show_duration(number(findings, parts[i].key), shown, sizeof shown));
    printf("\n");
}

static const char *word(const json_t *findings, const char *key)
{
    return json_string_value(json_object_get(findings, key));
}

static void print_done(const struct target *target, const struct manifest *manifest,
                       int64_t took_ms, const json_t *findings)
{
    const char *place = word(findings, "place");
    const char *old = word(findings, "old_database");
    const char *safety = word(findings, "safety_backup");
    char took[24];

    printf("%s@%s restored into %s in %s: %s\n", target->component->name, manifest->id,
           place == NULL ? "its place" : place, text_show_duration(took_ms, took, sizeof took),
           word(findings, "compared"));
    print_times(findings);
    if (old != NULL)
        printf("the data that was there is kept as %s\n", old);
    if (safety != NULL)
        printf("the data that was there is backup %s\n", safety);
    if (word(findings, "hint") != NULL)
        printf("%s\n", word(findings, "hint"));
}

static void tell(const struct job *job, const struct target *target,
                 const struct manifest *manifest, int64_t took_ms, json_t *findings)
{
    log_info("restored", LOG_TEXT("component", target->component->name),
             LOG_TEXT("backup", manifest->id), LOG_TEXT("place", word(findings, "place")),
             LOG_TEXT("old", word(findings, "old_database")),
             LOG_TEXT("safety", word(findings, "safety_backup")),
             LOG_NUMBER("duration_ms", took_ms));
    if (!job->in->json)
        print_done(target, manifest, took_ms, findings);
    job_report(job, target,
               json_pack("{s:s, s:I, s:O}", "backup", manifest->id, "duration_ms",
                         (json_int_t)took_ms, "findings", findings));
}

/* With --if-empty, before a store is asked for anything: a pod starts on its data also when the
 * store is away. 1: there is nothing to do. */
static int look_before(struct job *job, const struct target *target, struct err *err)
{
    const struct system_ops *system = target->site->system;
    char *what = NULL;

    if (job->in->no_safety && (!system->replaces_in_place || job->in->to != NULL))
        return err_set(err, ERR_USAGE,
                       "--no-safety is for a restore that replaces live data in place; this one "
                       "keeps it anyway");
    if (!system->picks_topics && is_about_topics(job->in))
        return err_set(err, ERR_USAGE,
                       "--topic, --to-topic, --until, --append and --replace are for Kafka; %s is "
                       "of %s",
                       target->component->name, system->name);
    if (job->in->append && job->in->replace)
        return err_set(err, ERR_USAGE,
                       "--append keeps the records that are there, --replace deletes them: give "
                       "one of them");
    if (!job->in->if_empty)
        return 0;
    if (job->in->to == NULL || system->restore_occupied == NULL)
        return err_set(err, ERR_USAGE, "--if-empty goes with --to FILE of a Redis component");
    if (system->restore_occupied(job->in->to, &what, err) < 0)
        return -1;
    if (what == NULL)
        return 0;
    log_info("nothing to restore", LOG_TEXT("component", target->component->name),
             LOG_TEXT("why", what));
    if (!job->in->json)
        printf("%s: nothing was done, for %s\n", target->component->name, what);
    job_report(job, target, json_pack("{s:s, s:s}", "result", "not_needed", "why", what));
    free(what);
    return 1;
}

static int read_until(const struct invocation *in, int64_t *until_ms, struct err *err)
{
    *until_ms = 0;
    if (in->until == NULL || (clock_parse(in->until, until_ms) == 0 && *until_ms > 0))
        return 0;
    return err_set(err, ERR_USAGE, "--until %s is no time such as 2026-11-23T07:00Z", in->until);
}

static int restore_chosen(struct job *job, const struct target *target, struct err *err)
{
    struct chosen chosen;
    json_t *findings = json_object();
    int64_t began_ms = clock_wall_ms();
    int rc = job_choose(target, &chosen, err);
    struct manifest *manifest = chosen.manifest;
    int64_t until_ms = 0;

    if (rc == 0)
        rc = read_until(job->in, &until_ms, err);
    if (rc == 0) {
        struct question question = {.job = job, .target = target, .chosen = &chosen};
        const struct restore_wish wish = {
            .to = job->in->to,
            .topic = job->in->topic,
            .to_topic = job->in->to_topic,
            .until_ms = until_ms,
            .append = job->in->append,
            .replace = job->in->replace,
            .globals = job->in->globals,
            .leave_replication = job->in->leave_replication,
            .drop_old = job->in->drop_old,
            .no_safety = job->in->no_safety,
            .ask = ask,
            .arg = &question,
        };

        recording_describe(job, manifest);
        rc = restore_run(&chosen.ancestry, &wish, findings, err);
    }
    if (rc == 0) {
        if (is_in_place(job->in))
            origin_remember(target->site, manifest->lineage, manifest->id);
        tell(job, target, manifest, clock_wall_ms() - began_ms, findings);
        if (json_is_true(json_object_get(findings, "in_part")))
            rc = JOB_IN_PART;
    }
    json_decref(findings);
    chosen_fini(&chosen);
    return rc;
}

static int restore(struct job *job, const struct target *target, struct err *err)
{
    int rc = look_before(job, target, err);

    return rc == 0 ? restore_chosen(job, target, err) : rc < 0 ? -1 : 0;
}

int cmd_restore(struct job *job)
{
    struct err err = ERR_INIT;

    if (job->in->to == NULL || !job->in->drop_old)
        return job_only(job, restore);
    err_set(&err, ERR_USAGE, "--to replaces nothing, so there is nothing for --drop-old");
    log_err("restore failed", &err, NULL, 0);
    return err_kind_exit_status(err.kind);
}
