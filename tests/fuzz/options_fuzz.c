// SPDX-License-Identifier: Apache-2.0
// The configuration file from arbitrary bytes: it is read whole, or refused with a sentence that
// begins with the file's name.
#include "err.h"
#include "log.h"
#include "options.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Stands before the real one, which remembers every secret for ever. */
void log_hide(const char *secret)
{
    if (strlen(secret) > (size_t)1 << 20)
        abort();
}

static void check_error(const struct err *err)
{
    bool kind = err->kind == ERR_CONFIG || err->kind == ERR_NOT_YET;

    if (!kind || !text_starts_with(err->text, "f.yaml:"))
        abort();
}

static void check_options(const struct agent_options *options)
{
    for (size_t i = 0; i < options->component_count; i++) {
        const struct component_options *component = &options->components[i];

        if (component->store == NULL || component->postgres.conninfo == NULL ||
            component->orphan_age_ms <= component->deadline_ms ||
            agent_options_component(options, component->name) != component)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct agent_options *options = NULL;
    struct err err = ERR_INIT;

    if (agent_options_parse("f.yaml", (const char *)data, len, &options, &err) < 0)
        check_error(&err);
    else
        check_options(options);
    agent_options_free(options);
    return 0;
}
