// SPDX-License-Identifier: Apache-2.0
// One small file in state.path for each component: "<lineage> <backup id>".
#include "origin.h"

#include "file.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *origin_path(const struct site *site)
{
    return text_format("%s/restored/%s", site->options->state_path, site->component->name);
}

void origin_remember(const struct site *site, const char *lineage, const char *backup_id)
{
    struct err err = ERR_INIT;
    char *path = origin_path(site);
    char *line = text_format("%s %s", lineage, backup_id);

    if (file_make_parents(path, &err) < 0 || file_replace(path, line, strlen(line), &err) < 0)
        log_warn("the next backup will not name its origin", LOG_TEXT("err", err.text));
    free(line);
    free(path);
}

void origin_describe(const struct site *site, struct manifest *manifest)
{
    struct err err = ERR_INIT;
    char *path = origin_path(site);
    char *line = NULL;
    char *space = NULL;

    if (file_read(path, 512, &line, NULL, &err) == 0)
        space = strchr(line, ' ');
    if (space != NULL && backup_id_valid(space + 1)) {
        manifest->restored_from_lineage = mem_strndup(line, (size_t)(space - line));
        manifest->restored_from_backup = mem_strdup(space + 1);
    }
    free(line);
    free(path);
}

void origin_forget(const struct site *site)
{
    char *path = origin_path(site);

    unlink(path);
    free(path);
}
