// SPDX-License-Identifier: Apache-2.0
// One stream, several stored files. On the way in the stream is cut into pieces of a fixed size, so
// that no store's limits on one file are met; on the way out the pieces are read one after another.
// Each piece has a SHA-256 of its own, which a person can check with sha256sum. `cat` of the pieces
// in the order of their names is the stream.
#pragma once

#include "stages.h"
#include "stream.h"

/* What opens piece number index, and hears of it when it is committed. */
struct piece_writer {
    int (*open)(void *arg, size_t index, struct sink **sink, struct err *err);
    /* digest is lent. */
    void (*done)(void *arg, size_t index, const struct digest_result *digest);
    void *arg;
};

/* The empty stream makes one empty piece. */
struct sink *pieces_sink_new(const struct piece_writer *writer, uint64_t piece_bytes);

/* What opens piece number index (below count) for reading, and what it must turn out to be. */
struct piece_reader {
    int (*open)(void *arg, size_t index, struct source **source, struct err *err);
    const struct digest_result *(*expected)(void *arg, size_t index);
    const char *(*name)(void *arg, size_t index);
    void *arg;
    size_t count;
};

/* ERR_CORRUPT when a piece is not what it must be; no END before the last one was compared. */
struct source *pieces_source_new(const struct piece_reader *reader);
