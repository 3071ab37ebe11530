// SPDX-License-Identifier: Apache-2.0
// Between fork and exec only what is safe there: the child gets default signals, its own process
// group (so that a Ctrl-C at the terminal reaches us alone and a wrapper script dies with what it
// started), a death signal, and no descriptor but 0, 1 and 2.
#include "spawn.h"

#include "file.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20)

extern char **environ;

static bool same_name(const char *entry, const char *other)
{
    size_t len = strcspn(entry, "=") + 1;

    return strncmp(entry, other, len) == 0;
}

/* environ with the entries of env in place of those of the same name. Only the array is new. */
static char **merged_environment(const char *const *env)
{
    size_t count = 0, added = 0, used = 0;
    char **merged;

    while (environ[count] != NULL)
        count++;
    while (env != NULL && env[added] != NULL)
        added++;
    merged = mem_calloc(count + added + 1, sizeof *merged);
    for (size_t i = 0; i < count; i++) {
        bool replaced = false;

        for (size_t j = 0; j < added && !replaced; j++)
            replaced = same_name(env[j], environ[i]);
        if (!replaced)
            merged[used++] = environ[i];
    }
    for (size_t j = 0; j < added; j++)
        merged[used++] = (char *)(uintptr_t)env[j];
    return merged;
}

static void run_child(const struct child_spec *spec, char **env, const int fds[3], int report,
                      pid_t parent)
{
    const struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;
    int failed;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &normal, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    /* dup2 clears close-on-exec; our own pipe ends are never below 3. */
    if (dup2(fds[0], 0) >= 0 && dup2(fds[1], 1) >= 0 && dup2(fds[2], 2) >= 0)
        execve(spec->argv[0], (char *const *)(uintptr_t)spec->argv, env);
    failed = errno;
    if (write(report, &failed, sizeof failed) < 0)
        _exit(126);
    _exit(127);
}

/* A pipe whose ends are above 2 even if the standard descriptors are closed. */
static int make_pipe(int ends[2], struct err *err)
{
    int raw[2];

    if (pipe2(raw, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, "pipe");
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
        close(raw[i]);
    }
    if (ends[0] >= 0 && ends[1] >= 0)
        return 0;
    err_set_errno(err, errno, "pipe");
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    return -1;
}

static int open_null(struct err *err)
{
    int raw = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd = raw < 0 ? -1 : fcntl(raw, F_DUPFD_CLOEXEC, 3);

    fd_close(&raw);
    if (fd < 0)
        err_set_errno(err, errno, "open /dev/null");
    return fd;
}

/* Our end of a pipe for the child's descriptor number, and in fds its own. */
static int plug(int number, bool wanted, int *ours, int fds[3], struct err *err)
{
    int ends[2] = {-1, -1};
    int mine = number == 0 ? 1 : 0;

    if (!wanted) {
        fds[number] = open_null(err);
        return fds[number] < 0 ? -1 : 0;
    }
    if (make_pipe(ends, err) < 0)
        return -1;
    *ours = ends[mine];
    fds[number] = ends[1 - mine];
    if (number < 2)
        (void)fcntl(*ours, F_SETPIPE_SZ, PIPE_BYTES); /* refused beyond a user's limit: go on */
    return fd_set_nonblocking(*ours, err);
}

static int start(struct spawned *process, const struct child_spec *spec, const int fds[3],
                 struct err *err)
{
    int report[2] = {-1, -1};
    int failed = 0;
    char **env = merged_environment(spec->env);
    pid_t parent = getpid();
    sigset_t all, before;
    ssize_t got;
    int rc = -1;

    if (make_pipe(report, err) < 0)
        goto out;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    process->pid = fork();
    if (process->pid == 0)
        run_child(spec, env, fds, report[1], parent);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (process->pid < 0) {
        err_set_errno(err, errno, "start %s", spec->argv[0]);
        goto out;
    }
    fd_close(&report[1]);
    do
        got = read(report[0], &failed, sizeof failed);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof failed) {
        err_set(err, ERR_SOURCE, "start %s: %s", spec->argv[0], strerror(failed));
        goto out;
    }
    process->pidfd = pidfd_open(process->pid, 0);
    if (process->pidfd < 0) {
        err_set_errno(err, errno, "pidfd of %s", spec->argv[0]);
        goto out;
    }
    rc = 0;
out:
    fd_close(&report[0]);
    fd_close(&report[1]);
    free(env);
    return rc;
}

int spawn(const struct child_spec *spec, struct spawned *process, struct err *err)
{
    struct spawned made = {.pid = -1, .pidfd = -1, .input = -1, .output = -1, .errors = -1};
    int fds[3] = {-1, -1, -1};
    int rc = -1;

    if (plug(0, spec->feeds, &made.input, fds, err) == 0 &&
        plug(1, spec->reads, &made.output, fds, err) == 0 &&
        plug(2, true, &made.errors, fds, err) == 0)
        rc = start(&made, spec, fds, err);
    for (int i = 0; i < 3; i++)
        fd_close(&fds[i]);
    if (rc == 0) {
        *process = made;
        return 0;
    }
    fd_close(&made.input);
    fd_close(&made.output);
    fd_close(&made.errors);
    if (made.pid > 0) {
        kill(made.pid, SIGKILL);
        while (waitpid(made.pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    return -1;
}
