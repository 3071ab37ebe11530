// SPDX-License-Identifier: Apache-2.0
// Deadlines. The job keeps its own (component.deadline, stall_timeout) wherever it moves bytes or
// waits for a server. These here are for a job that cannot even do that: a while after its
// deadline, or when it says that bytes move and then nothing for stall_timeout and that while, it
// is asked to stop, and ten seconds later killed.
#include "child.h"

#include "backup_id.h"
#include "channel.h"
#include "clock.h"
#include "file.h"
#include "frame.h"
#include "log.h"
#include "mem.h"
#include "program.h"
#include "text.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDED_VARIABLES 4

#define GRACE_MOST_MS  60000
#define GRACE_LEAST_MS 2000
#define TERM_MS        10000
#define MESSAGE_BYTES  ((size_t)64 << 10)

extern char **environ;

struct job_child {
    struct ev_loop *loop;
    struct child_handlers handlers;
    struct errand errand;
    char component[64]; /* the options may be replaced meanwhile */
    const char *system;
    int64_t stall_ms, started_ms;
    pid_t pid;
    int pidfd, channel;
    ev_io on_exit, on_message;
    ev_timer deadline, stall, kill;
    struct frame_reader reader;
    const char *why; /* it was stopped; NULL: not by us */
    bool has_report;
    lifeboat_v1_Report report;
};

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* A limit, and a tenth of it: the job's own clock comes first. */
static int64_t with_grace(int64_t limit_ms)
{
    int64_t grace_ms = limit_ms / 10;

    if (grace_ms > GRACE_MOST_MS)
        grace_ms = GRACE_MOST_MS;
    return limit_ms + (grace_ms < GRACE_LEAST_MS ? GRACE_LEAST_MS : grace_ms);
}

static void restart_timer(struct job_child *child, ev_timer *timer, int64_t ms)
{
    ev_timer_stop(child->loop, timer);
    ev_now_update(child->loop);
    ev_timer_set(timer, seconds(ms), 0);
    ev_timer_start(child->loop, timer);
}

void child_stop(struct job_child *child, bool force, const char *why)
{
    if (child->why == NULL)
        child->why = why;
    pidfd_send_signal(child->pidfd, force ? SIGKILL : SIGTERM, NULL, 0);
    if (!force)
        restart_timer(child, &child->kill, TERM_MS);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    child_stop(timer->data, false, "it was still there well after its deadline");
}

static void on_stall(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    child_stop(timer->data, false, "it said nothing for longer than stall_timeout");
}

static void on_kill(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    child_stop(timer->data, true, NULL);
}

static int on_frame(void *arg, const uint8_t *data, size_t len, struct err *err)
{
    static lifeboat_v1_JobMessage message; /* too large for a stack */
    struct job_child *child = arg;

    if (wire_read(lifeboat_v1_JobMessage_fields, data, len, &message, err) < 0)
        return -1;
    if (message.which_body == lifeboat_v1_JobMessage_report_tag) {
        child->has_report = true;
        child->report = message.body.report;
    } else if (message.which_body == lifeboat_v1_JobMessage_progress_tag) {
        if (message.body.progress.moving)
            restart_timer(child, &child->stall, with_grace(child->stall_ms));
        else
            ev_timer_stop(child->loop, &child->stall);
        child->handlers.progress(child->handlers.arg, &message.body.progress);
    }
    return 0;
}

/* Reads what is there; false when no more will come. */
static bool listen_to(struct job_child *child)
{
    uint8_t buffer[4096];
    struct err err = ERR_INIT;
    ssize_t n;

    while ((n = read(child->channel, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (frame_reader_add(&child->reader, buffer, (size_t)n, on_frame, child, &err) < 0) {
            log_warn("a job's words are not understood", LOG_TEXT("component", child->component),
                     LOG_TEXT("err", err.text));
            return false;
        }
    }
    return false;
}

static void on_message(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    if (!listen_to(io->data))
        ev_io_stop(loop, io);
}

static void child_free(struct job_child *child)
{
    ev_io_stop(child->loop, &child->on_exit);
    ev_io_stop(child->loop, &child->on_message);
    ev_timer_stop(child->loop, &child->deadline);
    ev_timer_stop(child->loop, &child->stall);
    ev_timer_stop(child->loop, &child->kill);
    frame_reader_fini(&child->reader);
    fd_close(&child->pidfd);
    fd_close(&child->channel);
    free(child);
}

/* What the daemon itself says about a job that left no word. */
static void describe_end(struct job_child *child, int status)
{
    lifeboat_v1_Report *report = &child->report;
    struct err err = ERR_INIT;
    char *how = WIFSIGNALED(status) ? text_format("was ended by signal %d", WTERMSIG(status))
                                    : text_format("ended with status %d", WEXITSTATUS(status));

    *report = (lifeboat_v1_Report)lifeboat_v1_Report_init_zero;
    backup_id_make(child->started_ms, report->job);
    WIRE_SET(report->component, child->component);
    WIRE_SET(report->system, child->system);
    WIRE_SET(report->agent_version, LIFEBOAT_VERSION);
    report->kind = child->errand.kind;
    report->trigger = child->errand.trigger;
    report->outcome = lifeboat_v1_Outcome_FAILED;
    report->started_ms = child->started_ms;
    report->ended_ms = clock_wall_ms();
    report->has_error = true;
    if (child->why != NULL)
        err_set(&err, ERR_TIMEOUT, "the job %s and left no report: %s", how, child->why);
    else
        err_set(&err, ERR_INTERNAL, "the job %s and left no report; its log lines say more", how);
    wire_set_error(&report->error, &err);
    free(how);
}

static void on_exit_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct job_child *child = io->data;
    int status = 0;

    (void)loop;
    (void)events;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (ev_is_active(&child->on_message))
        listen_to(child);
    if (!child->has_report)
        describe_end(child, status);
    child->handlers.ended(child->handlers.arg, &child->report, child->has_report);
    child_free(child);
}

/* environ, and what a job of the daemon is told besides. Only the array is to be freed. */
static char **job_environment(char *added[ADDED_VARIABLES])
{
    size_t count = 0;
    char **env;

    while (environ[count] != NULL)
        count++;
    env = mem_calloc(count + ADDED_VARIABLES + 1, sizeof *env);
    memcpy(env, environ, count * sizeof *env);
    memcpy(env + count, added, ADDED_VARIABLES * sizeof *env);
    return env;
}

static const char *trigger_word(lifeboat_v1_Trigger trigger)
{
    return trigger == lifeboat_v1_Trigger_SCHEDULE   ? "schedule"
           : trigger == lifeboat_v1_Trigger_CATCH_UP ? "catch_up"
                                                     : "automatic";
}

/* Between fork and exec: only what is safe there. The job goes down with the daemon, cleanly. What
 * it would print for a person is for nobody here: the log has it. */
static void become_job(const char *program, char *const *argv, char *const *env, int channel,
                       int config_fd, pid_t parent)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &normal, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    if (dup2(nowhere, STDOUT_FILENO) >= 0 && fcntl(channel, F_SETFD, 0) >= 0 &&
        fcntl(config_fd, F_SETFD, 0) >= 0)
        execve(program, argv, env);
    _exit(127);
}

static int fork_job(struct job_child *child, const struct config *config, int channel,
                    struct err *err)
{
    char *program = program_find(PROGRAM_JOB, err);
    char *config_path = text_format("/proc/self/fd/%d", config->fd);
    char *added[ADDED_VARIABLES] = {
        text_format(CHANNEL_FD_VARIABLE "=%d", channel),
        text_format(CHANNEL_TRIGGER_VARIABLE "=%s", trigger_word(child->errand.trigger)),
        text_format(CHANNEL_SLOT_VARIABLE "=%lld", (long long)child->errand.slot_ms),
        text_format(CHANNEL_CONFIG_VARIABLE "=%s", config->path),
    };
    char *argv[] = {(char *)(uintptr_t) "lifeboat-job",
                    (char *)(uintptr_t)wire_kind_name(child->errand.kind),
                    (char *)(uintptr_t) "-c",
                    config_path,
                    child->component,
                    NULL};
    char **env = job_environment(added);
    pid_t parent = getpid();

    if (program != NULL) {
        child->pid = fork();
        if (child->pid == 0)
            become_job(program, argv, env, channel, config->fd, parent);
        child->pidfd = child->pid < 0 ? -1 : pidfd_open(child->pid, 0);
        if (child->pid < 0 || child->pidfd < 0)
            err_set_errno(err, errno, "start %s", program);
    }
    for (size_t i = 0; i < ADDED_VARIABLES; i++)
        free(added[i]);
    free(env);
    free(config_path);
    free(program);
    return child->pidfd < 0 ? -1 : 0;
}

static void listen_and_time(struct job_child *child, int64_t deadline_ms)
{
    ev_io_init(&child->on_exit, on_exit_ready, child->pidfd, EV_READ);
    ev_io_init(&child->on_message, on_message, child->channel, EV_READ);
    ev_timer_init(&child->deadline, on_deadline, 0, 0);
    ev_timer_init(&child->stall, on_stall, 0, 0);
    ev_timer_init(&child->kill, on_kill, 0, 0);
    child->on_exit.data = child->on_message.data = child;
    child->deadline.data = child->stall.data = child->kill.data = child;
    ev_io_start(child->loop, &child->on_exit);
    ev_io_start(child->loop, &child->on_message);
    restart_timer(child, &child->deadline, with_grace(deadline_ms));
}

int child_start(struct ev_loop *loop, const struct config *config, const struct errand *errand,
                const struct child_handlers *handlers, struct job_child **child, struct err *err)
{
    struct job_child *started = mem_calloc(1, sizeof *started);
    int ends[2] = {-1, -1};

    *started = (struct job_child){
        .loop = loop,
        .handlers = *handlers,
        .errand = *errand,
        .system = system_kind_name(errand->component->system),
        .stall_ms = errand->component->stall_timeout_ms,
        .started_ms = clock_wall_ms(),
        .pidfd = -1,
        .channel = -1,
    };
    snprintf(started->component, sizeof started->component, "%s", errand->component->name);
    frame_reader_init(&started->reader, MESSAGE_BYTES);
    if (pipe2(ends, O_CLOEXEC) < 0) {
        err_set_errno(err, errno, "make a pipe");
    } else {
        started->channel = ends[0];
        if (fd_set_nonblocking(ends[0], err) == 0)
            fork_job(started, config, ends[1], err);
        fd_close(&ends[1]);
    }
    if (started->pidfd < 0) {
        fd_close(&started->channel);
        free(started);
        return -1;
    }
    listen_and_time(started, errand->component->deadline_ms);
    *child = started;
    return 0;
}
