// SPDX-License-Identifier: Apache-2.0
// The link to the collector, and where health and metrics are served.
#include "daemon_options.h"

#include "address.h"

const struct option collector_option_rows[] = {
    {.key = "address",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct link_options, address),
     .check = address_check,
     .help =
         "Where the collector listens: `host:7443`. Its certificate must be valid for the host."},
    {.key = "ca_file",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct link_options, ca_file),
     .check = option_check_absolute,
     .help = "The authority that the collector's certificate must come from, as PEM. It and the "
             "next two are read again for each connection."},
    {.key = "cert_file",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct link_options, cert_file),
     .check = option_check_absolute,
     .help = "The agent's own certificate, as PEM."},
    {.key = "key_file",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct link_options, key_file),
     .check = option_check_absolute,
     .help = "The key of it, as PEM."},
    {.key = "allow",
     .type = OPT_NOT_YET,
     .help = "commands from the collector come with a later version"},
    OPTION_END,
};

const struct option http_option_rows[] = {
    {.key = "listen",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct agent_options, http_listen),
     .check = address_check,
     .help = "Where the daemon answers `/healthz` and `/metrics`: `0.0.0.0:9464`. Without it "
             "nothing listens."},
    OPTION_END,
};

/* A section whose required keys are required only where it is there. */
static int read_section(const struct option_node *root, const char *key, const struct option *rows,
                        void *base, struct err *err)
{
    const struct option_node *node = option_node_child(root, key);

    return node == NULL ? 0 : option_read(node, rows, NULL, base, err);
}

int daemon_options_read(const struct option_node *root, struct agent_options *options,
                        struct err *err)
{
    if (read_section(root, "collector", collector_option_rows, &options->collector, err) < 0)
        return -1;
    return read_section(root, "http", http_option_rows, options, err);
}

void daemon_options_free(struct agent_options *options)
{
    option_free(collector_option_rows, &options->collector);
    option_free(http_option_rows, options);
}
