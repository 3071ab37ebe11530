// SPDX-License-Identifier: Apache-2.0
// What a replica says to its master: the commands of its handshake and its acknowledgements, taken
// apart byte by byte. Nothing is kept that is not needed: a password passes by and is forgotten,
// and memory does not grow with what is sent.
#pragma once

#include "stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLICA_MAX_ARGUMENTS 32
#define REPLICA_MAX_BYTES     8192 /* of one argument */
#define REPLICA_KEPT_BYTES    48   /* of each of the first three */

enum replica_said { REPLICA_PING, REPLICA_AUTH, REPLICA_CONF, REPLICA_ACK, REPLICA_PSYNC };

struct replica_command {
    enum replica_said said;
    char replid[41]; /* of PSYNC; "?" when it has none */
    int64_t offset;  /* of ACK */
};

struct replica_words {
    enum { WORDS_START, WORDS_COUNT, WORDS_DOLLAR, WORDS_LENGTH, WORDS_BODY, WORDS_END } state;
    bool carriage_return; /* it was the last byte of a line */
    uint64_t number;      /* of the line that is read */
    unsigned digits;
    uint64_t arguments, argument, left;
    char kept[3][REPLICA_KEPT_BYTES];
    size_t kept_len[3];
};

/* A zeroed struct is ready. OK: a whole command; AGAIN: all of data was taken, more is needed.
 * *used is how much was taken. ERROR: it is no replica that speaks; the reader is of no more use.
 */
enum step replica_words_read(struct replica_words *words, const uint8_t *data, size_t len,
                             size_t *used, struct replica_command *command, struct err *err);
