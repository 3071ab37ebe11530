// SPDX-License-Identifier: Apache-2.0
// Relative to /proc/self/exe, so that nothing need be configured.
#include "program.h"

#include "text.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

char *program_find(const char *name, struct err *err)
{
    static const char *const places[] = {"../libexec/lifeboat/", ""};
    char own[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    char *folder;

    if (len < 0) {
        err_set_errno(err, errno, "find this program's own folder");
        return NULL;
    }
    own[len] = '\0';
    folder = dirname(own);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = text_format("%s/%s%s", folder, places[i], name);

        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    err_set(err, ERR_IO, "%s is not beside %s; install the programs together", name, folder);
    return NULL;
}
