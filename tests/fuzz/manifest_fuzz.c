// SPDX-License-Identifier: Apache-2.0
// Any bytes as a manifest: refused with a reason, or read; and what was read writes to a text that
// reads and writes the same.
#include "manifest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = ERR_INIT;
    struct manifest *manifest = NULL;
    struct manifest *again = NULL;
    char *text;
    char *second;

    if (manifest_parse((const char *)data, len, &manifest, &err) < 0) {
        assert(manifest == NULL);
        assert(err.kind == ERR_CORRUPT || err.kind == ERR_NOT_YET);
        return 0;
    }
    text = manifest_format(manifest);
    if (manifest_parse(text, strlen(text), &again, &err) < 0)
        abort();
    second = manifest_format(again);
    assert(strcmp(text, second) == 0);
    assert(manifest_plain_bytes(manifest) == manifest_plain_bytes(again));
    assert(manifest_stored_bytes(manifest) == manifest_stored_bytes(again));
    free(text);
    free(second);
    manifest_free(again);
    manifest_free(manifest);
    return 0;
}
