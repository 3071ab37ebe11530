// SPDX-License-Identifier: Apache-2.0
// Both ends open the next piece only when the one before is committed, or compared.
#include "pieces.h"

#include "digest.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pieces_sink {
    struct sink sink;
    struct piece_writer writer;
    uint64_t piece_bytes;
    size_t index; /* of the piece that is open, or of the next one */
    struct sink *piece;
    struct digest_result digest; /* bytes: written into the open piece */
    struct sha256 *sha;
};

static int open_piece(struct pieces_sink *pieces, struct err *err)
{
    if (pieces->writer.open(pieces->writer.arg, pieces->index, &pieces->piece, err) < 0)
        return -1;
    sha256_reset(pieces->sha);
    pieces->digest.bytes = 0;
    return 0;
}

static enum step commit_piece(struct pieces_sink *pieces, struct err *err)
{
    enum step step = pieces->piece->ops->commit(pieces->piece, err);

    if (step != STEP_END)
        return step;
    sink_close(pieces->piece);
    pieces->piece = NULL;
    sha256_hex(pieces->sha, pieces->digest.sha256);
    pieces->writer.done(pieces->writer.arg, pieces->index++, &pieces->digest);
    return STEP_END;
}

static enum step pieces_write(struct sink *sink, struct span_in *in, struct err *err)
{
    struct pieces_sink *pieces = (struct pieces_sink *)sink;
    struct span_in part = *in;
    enum step step;

    if (pieces->piece != NULL && pieces->digest.bytes == pieces->piece_bytes) {
        step = commit_piece(pieces, err);
        if (step != STEP_END)
            return step;
    }
    if (pieces->piece == NULL && open_piece(pieces, err) < 0)
        return STEP_ERROR;
    if (part.len - part.pos > pieces->piece_bytes - pieces->digest.bytes)
        part.len = part.pos + (size_t)(pieces->piece_bytes - pieces->digest.bytes);
    step = pieces->piece->ops->write(pieces->piece, &part, err);
    if (part.pos > in->pos)
        sha256_add(pieces->sha, in->data + in->pos, part.pos - in->pos);
    pieces->digest.bytes += part.pos - in->pos;
    in->pos = part.pos;
    return step;
}

static enum step pieces_commit(struct sink *sink, struct err *err)
{
    struct pieces_sink *pieces = (struct pieces_sink *)sink;

    if (pieces->piece == NULL && pieces->index > 0)
        return STEP_END;
    if (pieces->piece == NULL && open_piece(pieces, err) < 0)
        return STEP_ERROR;
    return commit_piece(pieces, err);
}

static void pieces_sink_arm(struct sink *sink, struct ev_loop *loop, struct waker waker)
{
    struct pieces_sink *pieces = (struct pieces_sink *)sink;

    pieces->piece->ops->arm(pieces->piece, loop, waker);
}

static void pieces_sink_close(struct sink *sink)
{
    struct pieces_sink *pieces = (struct pieces_sink *)sink;

    sink_close(pieces->piece);
    sha256_free(pieces->sha);
    free(pieces);
}

static const struct sink_ops pieces_sink_ops = {
    .name = "store",
    .write = pieces_write,
    .commit = pieces_commit,
    .arm = pieces_sink_arm,
    .close = pieces_sink_close,
};

struct sink *pieces_sink_new(const struct piece_writer *writer, uint64_t piece_bytes)
{
    struct pieces_sink *pieces = mem_calloc(1, sizeof *pieces);

    assert(piece_bytes > 0);
    pieces->sink.ops = &pieces_sink_ops;
    pieces->writer = *writer;
    pieces->piece_bytes = piece_bytes;
    pieces->sha = sha256_new();
    return &pieces->sink;
}

struct pieces_source {
    struct source source;
    struct piece_reader reader;
    size_t index;
    struct source *piece;
    uint64_t bytes; /* read from the open piece */
    struct sha256 *sha;
};

static int compare_piece(struct pieces_source *pieces, struct err *err)
{
    const struct digest_result *expected =
        pieces->reader.expected(pieces->reader.arg, pieces->index);
    const char *name = pieces->reader.name(pieces->reader.arg, pieces->index);
    char hex[SHA256_HEX_CAP];

    sha256_hex(pieces->sha, hex);
    if (pieces->bytes != expected->bytes)
        return err_set(err, ERR_CORRUPT, "stored %s has %llu bytes, the manifest says %llu", name,
                       (unsigned long long)pieces->bytes, (unsigned long long)expected->bytes);
    if (strcmp(hex, expected->sha256) != 0)
        return err_set(err, ERR_CORRUPT, "stored %s has SHA-256 %s, the manifest says %s", name,
                       hex, expected->sha256);
    return 0;
}

static enum step pieces_read(struct source *source, struct span_out *out, struct err *err)
{
    struct pieces_source *pieces = (struct pieces_source *)source;
    size_t before = out->len;
    enum step step;

    if (pieces->index == pieces->reader.count)
        return STEP_END;
    if (pieces->piece == NULL) {
        if (pieces->reader.open(pieces->reader.arg, pieces->index, &pieces->piece, err) < 0)
            return STEP_ERROR;
        sha256_reset(pieces->sha);
        pieces->bytes = 0;
    }
    step = pieces->piece->ops->read(pieces->piece, out, err);
    if (out->len > before)
        sha256_add(pieces->sha, out->data + before, out->len - before);
    pieces->bytes += out->len - before;
    if (step != STEP_END)
        return step;
    if (compare_piece(pieces, err) < 0)
        return STEP_ERROR;
    source_close(pieces->piece);
    pieces->piece = NULL;
    return ++pieces->index == pieces->reader.count ? STEP_END : STEP_OK;
}

static void pieces_source_arm(struct source *source, struct ev_loop *loop, struct waker waker)
{
    struct pieces_source *pieces = (struct pieces_source *)source;

    pieces->piece->ops->arm(pieces->piece, loop, waker);
}

static void pieces_source_close(struct source *source)
{
    struct pieces_source *pieces = (struct pieces_source *)source;

    source_close(pieces->piece);
    sha256_free(pieces->sha);
    free(pieces);
}

static const struct source_ops pieces_source_ops = {
    .name = "store",
    .read = pieces_read,
    .arm = pieces_source_arm,
    .close = pieces_source_close,
};

struct source *pieces_source_new(const struct piece_reader *reader)
{
    struct pieces_source *pieces = mem_calloc(1, sizeof *pieces);

    pieces->source.ops = &pieces_source_ops;
    pieces->reader = *reader;
    pieces->sha = sha256_new();
    return &pieces->source;
}
