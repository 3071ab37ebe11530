// SPDX-License-Identifier: Apache-2.0
// The list of store types.
#include "store.h"

#include "local.h"
#include "s3.h"
#include "store_options.h"

#include <stdio.h>

static const struct store_ops *const types[] = {
    [STORE_LOCAL] = &local_store,
    [STORE_S3] = &s3_store,
};

int store_open(const struct store_options *options, struct ev_loop *loop, struct store **store,
               struct err *err)
{
    const struct store_ops *ops = types[options->type];
    struct store *opened = NULL;

    if (ops->open(options, loop, &opened, err) < 0)
        return err_wrap(err, "store %s", options->name);
    opened->ops = ops;
    snprintf(opened->name, sizeof opened->name, "%s", options->name);
    *store = opened;
    return 0;
}

void store_close(struct store *store)
{
    if (store != NULL)
        store->ops->close(store);
}
