// SPDX-License-Identifier: Apache-2.0
// Where a backup goes while its store is away: a local store that nothing else uses.
#include "fallback_options.h"

#include <string.h>

const struct option fallback_option_rows[] = {
    {.key = "store",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct agent_options, fallback_name),
     .help = "The store of type `local` that takes a backup while the component's own store is "
             "away; no component may name it, and no other agent may use its folder."},
    {.key = "max_bytes",
     .type = OPT_SIZE,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct agent_options, fallback_max_bytes),
     .min = UINT64_C(1) << 20,
     .max = UINT64_C(1) << 50,
     .help = "What the files there may be together, at every moment. Room for two compressed "
             "backups of each component keeps a newest one while the next is made."},
    OPTION_END,
};

/* Whether one path is the other, or lies in it. */
static bool paths_meet(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    size_t len;

    while (a_len > 0 && a[a_len - 1] == '/')
        a_len--;
    while (b_len > 0 && b[b_len - 1] == '/')
        b_len--;
    len = a_len < b_len ? a_len : b_len;
    return strncmp(a, b, len) == 0 && (a_len == len || a[len] == '/') &&
           (b_len == len || b[len] == '/');
}

/* What the fallback removes to make room must be its own alone. */
static int check_fallback(const struct option_node *node, const struct agent_options *options,
                          const struct store_options *store, struct err *err)
{
    if (store->type != STORE_LOCAL)
        return option_node_fail(node, "store", err, ERR_CONFIG,
                                "%s is of type %s; name a store of type local", store->name,
                                store_type_names[store->type]);
    for (size_t i = 0; i < options->component_count; i++) {
        const struct component_options *component = &options->components[i];

        if (component->store == store)
            return option_node_fail(node, "store", err, ERR_CONFIG,
                                    "%s is the store of component %s already; name one that no "
                                    "component uses",
                                    store->name, component->name);
        if (component->store->type == STORE_LOCAL &&
            paths_meet(component->store->local.path, store->local.path))
            return option_node_fail(node, "store", err, ERR_CONFIG,
                                    "the folders of %s and of %s, the store of component %s, lie "
                                    "in each other; give it one of its own",
                                    store->name, component->store->name, component->name);
    }
    return 0;
}

int fallback_options_read(const struct option_node *root, struct agent_options *options,
                          struct err *err)
{
    const struct option_node *node = option_node_child(root, "fallback");
    const struct store_options *store = NULL;
    char quote[OPTION_QUOTE_CAP];

    if (node == NULL)
        return 0;
    if (option_read(node, fallback_option_rows, NULL, options, err) < 0)
        return -1;
    for (size_t i = 0; i < options->store_count; i++)
        if (strcmp(options->stores[i].name, options->fallback_name) == 0)
            store = &options->stores[i];
    if (store == NULL)
        return option_node_fail(node, "store", err, ERR_CONFIG,
                                "no store is called %s; add one of type local to stores, or "
                                "correct the name",
                                option_quote(options->fallback_name, quote));
    if (check_fallback(node, options, store, err) < 0)
        return -1;
    options->fallback_store = store;
    return 0;
}
