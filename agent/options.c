// SPDX-License-Identifier: Apache-2.0
// The configuration file of the agent as a whole: where the identity comes from when the file does
// not say, the list of stores, the list of components (component_options.c), the fallback
// (fallback_options.c), what only the daemon uses (daemon_options.c), and that names are unique.
// Stores are read first, because the others name them.
#include "options.h"

#include "component_options.h"
#include "daemon_options.h"
#include "fallback_options.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const root_sections[] = {"identity",   "state",  "log",      "collector", "http",
                                            "components", "stores", "fallback", NULL};
static const struct option root_rows[] = {
    OPTION_END,
};

static const struct option identity_rows[] = {
    {.key = "cluster",
     .type = OPT_TEXT,
     .offset = offsetof(struct identity_options, cluster),
     .def = "default",
     .check = option_check_name,
     .help =
         "The cluster's name, part of every key. Give each cluster its own when several share a "
         "store."},
    {.key = "namespace",
     .type = OPT_TEXT,
     .offset = offsetof(struct identity_options, namespace_),
     .check = option_check_name,
     .help = "The namespace, part of every key. Without it: POD_NAMESPACE, else `default`."},
    {.key = "workload",
     .type = OPT_TEXT,
     .offset = offsetof(struct identity_options, workload),
     .check = option_check_name,
     .help = "The StatefulSet or Deployment. Without it: pod without its ordinal (`-0`)."},
    {.key = "pod",
     .type = OPT_TEXT,
     .offset = offsetof(struct identity_options, pod),
     .check = option_check_name,
     .help = "The pod. Without it: POD_NAME, else the host's name."},
    OPTION_END,
};

static const struct option state_rows[] = {
    {.key = "path",
     .type = OPT_TEXT,
     .offset = offsetof(struct agent_options, state_path),
     .def = "/var/lib/lifeboat/state",
     .check = option_check_absolute,
     .help =
         "Folder for job records, logs and the lock between commands; absolute. It must outlive "
         "the container."},
    OPTION_END,
};

/* Takes over a value that the file does not give; where names its origin in errors. */
static int fill_name(const struct option_node *node, const char *key, char **slot,
                     const char *where, const char *value, struct err *err)
{
    char quote[OPTION_QUOTE_CAP];
    struct err why = ERR_INIT;

    if (*slot != NULL)
        return 0;
    if (option_check_name(value, &why) < 0)
        return option_node_fail(node, key, err, ERR_CONFIG, "%s %s %s; or set %s here", where,
                                option_quote(value, quote), why.text, key);
    *slot = mem_strdup(value);
    return 0;
}

/* "orders-db" of "orders-db-0". */
static char *without_ordinal(const char *pod)
{
    size_t len = strlen(pod);
    size_t end = len;

    while (end > 0 && pod[end - 1] >= '0' && pod[end - 1] <= '9')
        end--;
    return mem_strndup(pod, end < len && end > 1 && pod[end - 1] == '-' ? end - 1 : len);
}

static int read_identity(const struct option_node *root, struct identity_options *identity,
                         struct err *err)
{
    const struct option_node *node = option_node_section(root, "identity");
    const char *namespace_ = getenv("POD_NAMESPACE");
    const char *pod = getenv("POD_NAME");
    char host[256] = "localhost";
    char *workload = NULL;
    int rc;

    gethostname(host, sizeof host - 1);
    if (option_read(node, identity_rows, NULL, identity, err) < 0 ||
        fill_name(node, "namespace", &identity->namespace_, "POD_NAMESPACE",
                  namespace_ == NULL ? "default" : namespace_, err) < 0 ||
        fill_name(node, "pod", &identity->pod, pod == NULL ? "the host's name" : "POD_NAME",
                  pod == NULL ? host : pod, err) < 0)
        return -1;
    workload = without_ordinal(identity->pod);
    rc = fill_name(node, "workload", &identity->workload, "the pod's", workload, err);
    free(workload);
    return rc;
}

static int check_s3(const struct option_node *node, struct s3_options *s3, struct err *err)
{
    if (s3->region == NULL && s3->endpoint == NULL)
        return option_node_fail(node, "region", err, ERR_CONFIG,
                                "is required unless endpoint is given; write it like eu-west-1");
    if (s3->access_key != NULL && s3->secret_key == NULL)
        return option_node_fail(node, "access_key", err, ERR_CONFIG,
                                "is given without secret_key; add secret_key or secret_key_file");
    if (s3->access_key == NULL && s3->secret_key != NULL)
        return option_node_fail(node, "access_key", err, ERR_CONFIG,
                                "is missing, but secret_key is given; add it");
    if (s3->session_token != NULL && s3->access_key == NULL)
        return option_node_fail(node, "access_key", err, ERR_CONFIG,
                                "is missing, but session_token is given; add it and secret_key");
    if (s3->region == NULL)
        s3->region = mem_strdup("us-east-1");
    return 0;
}

static int read_store(const struct option_node *node, struct store_options *store, struct err *err)
{
    static const char *const common_keys[] = {"name", "type", NULL};

    if (option_read(node, store_option_rows, option_any_key, store, err) < 0 ||
        option_read(node, store_type_rows(store->type), common_keys, store, err) < 0)
        return -1;
    return store->type == STORE_S3 ? check_s3(node, &store->s3, err) : 0;
}

static int check_unique(const struct option_node *node, const char *name, const char *earlier,
                        const struct option_node *earlier_node, struct err *err)
{
    if (strcmp(name, earlier) != 0)
        return 0;
    return option_node_fail(node, "name", err, ERR_CONFIG,
                            "%s is taken by the one on line %zu; choose another", name,
                            option_node_line(earlier_node));
}

/* The list under key, which must have an item. */
static const struct option_node *find_list(const struct option_node *root, const char *key,
                                           struct err *err)
{
    const struct option_node *list = option_node_child(root, key);

    if (list != NULL && option_node_kind(list) == OPTION_LIST && option_node_count(list) > 0)
        return list;
    option_node_fail(root, key, err, ERR_CONFIG, "%s a list with at least one item",
                     list == NULL ? "is required:" : "must be");
    return NULL;
}

static int read_stores(const struct option_node *root, struct agent_options *options,
                       struct err *err)
{
    const struct option_node *list = find_list(root, "stores", err);

    if (list == NULL)
        return -1;
    options->stores = mem_calloc(option_node_count(list), sizeof *options->stores);
    for (size_t i = 0; i < option_node_count(list); i++) {
        const struct option_node *node = option_node_item(list, i);

        options->store_count++;
        if (read_store(node, &options->stores[i], err) < 0)
            return -1;
        for (size_t j = 0; j < i; j++)
            if (check_unique(node, options->stores[i].name, options->stores[j].name,
                             option_node_item(list, j), err) < 0)
                return -1;
    }
    return 0;
}

static int read_components(const struct option_node *root, struct agent_options *options,
                           struct err *err)
{
    const struct option_node *list = find_list(root, "components", err);

    if (list == NULL)
        return -1;
    options->components = mem_calloc(option_node_count(list), sizeof *options->components);
    for (size_t i = 0; i < option_node_count(list); i++) {
        const struct option_node *node = option_node_item(list, i);

        options->component_count++;
        if (component_options_read(node, options, &options->components[i], err) < 0)
            return -1;
        for (size_t j = 0; j < i; j++)
            if (check_unique(node, options->components[i].name, options->components[j].name,
                             option_node_item(list, j), err) < 0)
                return -1;
    }
    return 0;
}

static int read_root(const struct option_node *root, struct agent_options *options, struct err *err)
{
    if (option_read(root, root_rows, root_sections, options, err) < 0 ||
        read_identity(root, &options->identity, err) < 0 ||
        option_read(option_node_section(root, "state"), state_rows, NULL, options, err) < 0 ||
        option_read(option_node_section(root, "log"), log_option_rows(), NULL, &options->log, err) <
            0)
        return -1;
    if (daemon_options_read(root, options, err) < 0)
        return -1;
    if (read_stores(root, options, err) < 0 || read_components(root, options, err) < 0)
        return -1;
    return fallback_options_read(root, options, err);
}

/* Takes file. */
static int read_file(struct option_file *file, struct agent_options **options, struct err *err)
{
    struct agent_options *read = mem_calloc(1, sizeof *read);
    int rc = read_root(option_file_root(file), read, err);

    if (rc < 0)
        agent_options_free(read);
    else
        *options = read;
    option_file_close(file);
    return rc;
}

int agent_options_load(const char *path, struct agent_options **options, struct err *err)
{
    struct option_file *file = NULL;

    if (option_file_open(path, &file, err) < 0)
        return -1;
    return read_file(file, options, err);
}

int agent_options_parse(const char *name, const char *data, size_t len,
                        struct agent_options **options, struct err *err)
{
    struct option_file *file = NULL;

    if (option_file_parse(name, data, len, &file, err) < 0)
        return -1;
    return read_file(file, options, err);
}

void agent_options_free(struct agent_options *options)
{
    if (options == NULL)
        return;
    for (size_t i = 0; i < options->component_count; i++)
        component_options_free(&options->components[i]);
    for (size_t i = 0; i < options->store_count; i++) {
        option_free(store_type_rows(options->stores[i].type), &options->stores[i]);
        option_free(store_option_rows, &options->stores[i]);
    }
    option_free(identity_rows, &options->identity);
    option_free(state_rows, options);
    daemon_options_free(options);
    option_free(fallback_option_rows, options);
    free(options->components);
    free(options->stores);
    free(options);
}

const struct component_options *agent_options_component(const struct agent_options *options,
                                                        const char *name)
{
    for (size_t i = 0; i < options->component_count; i++)
        if (strcmp(options->components[i].name, name) == 0)
            return &options->components[i];
    return NULL;
}

static void describe_section(const char *heading, const struct option *rows, struct text *markdown)
{
    text_add(markdown, "\n## %s\n\n", heading);
    option_describe(rows, markdown);
}

void agent_options_describe(struct text *markdown)
{
    text_add(
        markdown,
        "# Options of the agent\n\n"
        "Generated by `lifeboat-reference options` from the option tables; not edited by hand.\n"
        "`docs/agent.example.yaml` shows a whole file.\n\n"
        "- Every value may contain `${VAR}`, taken from the environment; a variable that is not "
        "set "
        "is an error. `$${` is a plain `${`. Inside `{...}` and `[...]` YAML wants it in quotes.\n"
        "- Where a key reads \"`KEY` or `KEY_file`\", the second names a file (absolute path) "
        "whose "
        "content, without its last newline, is the value.\n"
        "- Durations are written like `90s`, `15m`, `12h`, `30d`; sizes like `512KiB`, `8MiB`, "
        "`20GiB`.\n"
        "- An unknown key, a key given twice, a wrong value, a missing secret: each ends the "
        "command "
        "with status 2 and names file, line and key.\n\n"
        "## The file\n\n"
        "`identity`, `state`, `log`, `collector`, `http` and `fallback` are optional sections; "
        "`stores` and "
        "`components` are lists "
        "with at least one item each.\n\n");
    option_describe(root_rows, markdown);
    describe_section("identity", identity_rows, markdown);
    describe_section("state", state_rows, markdown);
    describe_section("log", log_option_rows(), markdown);
    describe_section("collector", collector_option_rows, markdown);
    describe_section("http", http_option_rows, markdown);
    describe_section("fallback", fallback_option_rows, markdown);
    describe_section("stores[]", store_option_rows, markdown);
    for (int type = 0; store_type_names[type] != NULL; type++) {
        text_add(markdown, "\n### stores[] of type %s\n\n", store_type_names[type]);
        option_describe(store_type_rows(type), markdown);
    }
    text_add_char(markdown, '\n');
    component_options_describe(markdown);
}
