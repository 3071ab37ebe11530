// SPDX-License-Identifier: Apache-2.0
// A tool older than the server refuses to work; a newer one works, but its restore may set what an
// older server does not know. So the server's own version comes first.
#include "tools.h"

#include "child.h"
#include "clock.h"
#include "mem.h"
#include "postgres_options.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEWEST_MAJOR       40 /* the end of the search, not a claim about versions */
#define FIRST_WITH_TIMEOUT 17
#define ANSWER_TIME_MS     10000

static int read_version(struct pg_tool *tool, int64_t deadline_mono_us, struct err *err)
{
    const char *argv[] = {tool->path, "--version", NULL};
    const char *env[] = {"LC_ALL=C", NULL};
    const struct child_spec spec = {.argv = argv, .env = env, .reads = true};
    int64_t limit_us = clock_mono_us() + (int64_t)ANSWER_TIME_MS * 1000;
    char *output = NULL;
    const char *at;
    size_t digits;

    if (child_run(&spec, 4096, limit_us < deadline_mono_us ? limit_us : deadline_mono_us, &output,
                  err) < 0)
        return -1;
    at = strstr(output, "(PostgreSQL) ");
    at = at == NULL ? "" : at + strlen("(PostgreSQL) ");
    digits = strspn(at, "0123456789");
    if (digits > 0 && digits <= 4) {
        tool->major = (int)strtol(at, NULL, 10);
        tool->version = mem_strndup(at, strspn(at, "0123456789."));
    }
    free(output);
    if (tool->version == NULL)
        return err_set(err, ERR_CONFIG, "%s --version does not say a version of PostgreSQL",
                       tool->path);
    return 0;
}

/* Takes path. */
static bool take_if_there(struct pg_tool *tool, char *path)
{
    if (access(path, X_OK) != 0) {
        free(path);
        return false;
    }
    tool->path = path;
    return true;
}

static bool search_path(struct pg_tool *tool, const char *program)
{
    const char *at = getenv("PATH");

    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");

        if (len > 0 && *at == '/' &&
            take_if_there(tool, text_format("%.*s/%s", (int)len, at, program)))
            return true;
        at += len;
        at += *at == ':';
    }
    return false;
}

static bool search(struct pg_tool *tool, const struct postgres_options *options,
                   const char *program, int least)
{
    if (options->tools != NULL)
        return take_if_there(tool, text_format("%s/%s", options->tools, program));
    for (int major = least; major <= NEWEST_MAJOR; major++)
        if (take_if_there(tool, text_format("/usr/lib/postgresql/%d/bin/%s", major, program)))
            return true;
    return search_path(tool, program);
}

int pg_tool_find(const struct postgres_options *options, const char *program, int least,
                 const char *what, int64_t deadline_mono_us, struct pg_tool *tool, struct err *err)
{
    struct pg_tool found = {.path = NULL};

    if (!search(&found, options, program, least))
        return err_set(err, ERR_CONFIG,
                       "no %s %s; install postgresql-client-%d, or name the folder of a version %d "
                       "or newer in postgres.tools",
                       program, options->tools == NULL ? "is installed" : "is in postgres.tools",
                       least, least);
    if (read_version(&found, deadline_mono_us, err) < 0) {
        pg_tool_fini(&found);
        return -1;
    }
    if (found.major < least) {
        err_set(err, ERR_CONFIG,
                "%s is of version %s, older than %s (%d); install postgresql-client-%d, or name "
                "its folder in postgres.tools",
                found.path, found.version, what, least, least);
        pg_tool_fini(&found);
        return -1;
    }
    *tool = found;
    return 0;
}

int pg_tool_fits(const struct pg_tool *tool, int server_major, struct err *err)
{
    if (tool->major < FIRST_WITH_TIMEOUT || server_major >= FIRST_WITH_TIMEOUT)
        return 0;
    return err_set(
        err, ERR_CONFIG,
        "%s is of version %s: what it writes cannot be restored into a server of version "
        "%d; install postgresql-client-%d, or name its folder in postgres.tools",
        tool->path, tool->version, server_major, server_major);
}

void pg_tool_fini(struct pg_tool *tool)
{
    free(tool->path);
    free(tool->version);
    *tool = (struct pg_tool){.path = NULL};
}
