// SPDX-License-Identifier: Apache-2.0
// lifeboat-agent: the front of the command line. Each command but `run` is one job, and a job is a
// process of lifeboat-job, found in ../libexec/lifeboat beside this program's folder, or (in a
// build folder) in the same one.
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define JOB_PROGRAM "lifeboat-job"

static int own_folder(char *folder, size_t cap)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);

    if (len < 0)
        return -1;
    path[len] = '\0';
    return snprintf(folder, cap, "%s", dirname(path)) < (int)cap ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const char *const places[] = {"../libexec/lifeboat/" JOB_PROGRAM, JOB_PROGRAM};
    char folder[PATH_MAX];
    char path[PATH_MAX + 64];

    (void)argc;
    if (own_folder(folder, sizeof folder) < 0) {
        fprintf(stderr, "lifeboat-agent: its own folder cannot be found: %s\n", strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        execv(path, argv);
        if (errno != ENOENT && errno != ENOTDIR)
            break;
    }
    fprintf(stderr, "lifeboat-agent: %s: %s; install both programs together\n", path,
            strerror(errno));
    return 1;
}
