// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a replica says: the same commands, or the same refusal, however the bytes are
// cut into pieces.
#include "replica_words.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void run(const uint8_t *data, size_t len, size_t piece, struct text *found)
{
    struct replica_words words = {.digits = 0};
    struct replica_command command;
    struct err err = ERR_INIT;
    size_t used = 0;

    for (size_t pos = 0; pos < len; pos += used) {
        size_t n = piece < len - pos ? piece : len - pos;
        enum step step = replica_words_read(&words, data + pos, n, &used, &command, &err);

        if (step == STEP_ERROR) {
            text_add(found, "error");
            return;
        }
        if (used == 0 || used > n || (step == STEP_AGAIN && used != n))
            abort();
        if (step == STEP_OK)
            text_add(found, "%d %s %lld;", (int)command.said, command.replid,
                     (long long)command.offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct text whole = TEXT_INIT, cut = TEXT_INIT;
    size_t piece = len == 0 ? 1 : 1 + data[0] % 7;

    run(data, len, len + 1, &whole);
    run(data, len, piece, &cut);
    if (strcmp(text_str(&whole), text_str(&cut)) != 0)
        abort();
    text_fini(&whole);
    text_fini(&cut);
    return 0;
}
