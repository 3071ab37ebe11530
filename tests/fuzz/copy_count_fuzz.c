// SPDX-License-Identifier: Apache-2.0
// Any bytes as a restore script: the same tables and rows, or the same refusal, however the bytes
// are cut into pieces.
#include "copy_count.h"
#include "mem.h"
#include "text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void found_table(void *arg, const char *table, uint64_t rows)
{
    text_add(arg, "%s=%llu;", table, (unsigned long long)rows);
}

static bool run(const uint8_t *data, size_t len, size_t piece, struct text *found)
{
    struct copy_count *count = copy_count_new(found_table, found);
    struct err err = ERR_INIT;
    bool good = true;

    for (size_t pos = 0; good && pos < len; pos += piece)
        good = copy_count_feed(count, data + pos, piece < len - pos ? piece : len - pos, &err) == 0;
    good = good && copy_count_end(count, &err) == 0;
    if (good != (err.kind == ERR_NONE))
        abort();
    copy_count_free(count);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text whole = TEXT_INIT, cut = TEXT_INIT;
    size_t piece = len == 0 ? 1 : 1 + data[0] % 7;

    if (run(data, len, len + 1, &whole) != run(data, len, piece, &cut) ||
        strcmp(text_str(&whole), text_str(&cut)) != 0)
        abort();
    text_fini(&whole);
    text_fini(&cut);
    return 0;
}
