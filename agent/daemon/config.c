// SPDX-License-Identifier: Apache-2.0
// The file is compared by its bytes: in a pod it changes by a symbolic link two folders up.
#include "config.h"

#include "file.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A file in memory with these bytes, which every job opens anew under /proc/self/fd. */
static int hand_over(const char *data, size_t len, int *fd, struct err *err)
{
    int made = memfd_create("agent.yaml", MFD_CLOEXEC);

    if (made < 0 || fd_write_all(made, data, len, err) < 0) {
        fd_close(&made);
        return err_set_errno(err, errno, "keep a copy of the configuration");
    }
    *fd = made;
    return 0;
}

static int adopt(struct config *config, struct err *err)
{
    struct agent_options *options = NULL;
    int fd = -1;

    if (agent_options_parse(config->path, config->seen, config->seen_bytes, &options, err) < 0)
        return -1;
    if (hand_over(config->seen, config->seen_bytes, &fd, err) < 0) {
        agent_options_free(options);
        return -1;
    }
    fd_close(&config->fd);
    config->options = options;
    config->fd = fd;
    return 0;
}

int config_open(const char *path, struct config *config, struct err *err)
{
    *config = (struct config){.path = path, .fd = -1, .valid = true};
    if (file_read(path, OPTION_FILE_MAX_BYTES, &config->seen, &config->seen_bytes, err) < 0) {
        struct err why = *err;

        return err_set(err, ERR_CONFIG, "%s; -c names the configuration file", why.text);
    }
    return adopt(config, err);
}

void config_close(struct config *config)
{
    agent_options_free(config->options);
    fd_close(&config->fd);
    free(config->seen);
}

static void refuse(struct config *config, const struct err *err)
{
    const struct log_field fields[] = {LOG_TEXT("file", config->path)};

    config->valid = false;
    log_err("the changed configuration is refused, the old one stays in force", err, fields, 1);
}

int config_look(struct config *config)
{
    struct err err = ERR_INIT;
    char *data = NULL;
    size_t len = 0;

    if (file_read(config->path, OPTION_FILE_MAX_BYTES, &data, &len, &err) < 0) {
        if (config->seen != NULL)
            refuse(config, &err);
        free(config->seen);
        config->seen = NULL;
        return 0;
    }
    if (config->seen != NULL && len == config->seen_bytes && memcmp(data, config->seen, len) == 0) {
        free(data);
        return 0;
    }
    free(config->seen);
    config->seen = data;
    config->seen_bytes = len;
    if (adopt(config, &err) < 0) {
        refuse(config, &err);
        return 0;
    }
    config->valid = true;
    log_info("the changed configuration is in force", LOG_TEXT("file", config->path));
    return 1;
}
