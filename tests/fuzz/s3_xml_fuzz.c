// SPDX-License-Identifier: Apache-2.0
// Any bytes as an answer of a store: an error, a page of a list, keys of a role. Each is refused
// with a reason or read; what a page then holds is whole.
#include "s3/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_page(const char *data, size_t len)
{
    struct s3_page page = {.items = NULL};
    struct err err = ERR_INIT;

    if (s3_page_read(data, len, &page, &err) == 0)
        for (size_t i = 0; i < page.count; i++)
            assert(page.items[i].key != NULL && page.items[i].key[0] != '\0');
    else
        assert(err.kind == ERR_STORE);
    s3_page_fini(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    struct s3_keys keys = {.access_key = NULL};
    struct s3_error error;
    struct err err = ERR_INIT;

    check_page(text, len);
    if (s3_xml_error(text, len, &error))
        assert(error.code[0] != '\0' && strlen(error.message) < sizeof error.message);
    /* Keys only from what looks like them: each set is registered for hiding, for good. */
    if (len > 40 && memcmp(text, "<AssumeRole", 11) == 0 &&
        s3_keys_from_xml(text, len, &keys, &err) == 0)
        assert(keys.access_key != NULL && keys.expires_ms != 0);
    s3_keys_fini(&keys);
    return 0;
}
