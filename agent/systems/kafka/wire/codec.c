// SPDX-License-Identifier: Apache-2.0
// Four libraries behind one function. Snappy has no stream of its own: producers in Java frame it
// as xerial's library does, a head and then blocks of [length] [block]; others write a single block
// without a head.
#include "codec.h"

#include "cursor.h"
#include "mem.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* A block of snappy is decompressed whole. */
#define SNAPPY_MAX_BYTES ((size_t)32 << 20)

#define XERIAL_MAGIC      "\x82SNAPPY\0"
#define XERIAL_HEAD_BYTES 16

struct kafka_codec {
    enum kafka_codec_kind kind;
    struct kafka_cursor in;
    bool ended; /* the stream said so */
    z_stream gzip;
    bool gzip_made;
    LZ4F_dctx *lz4;
    ZSTD_DCtx *zstd;
    bool framed;    /* snappy, by xerial */
    uint8_t *block; /* snappy, decompressed */
    size_t block_cap, block_len, block_at;
};

static enum step corrupt(struct err *err, const char *what, const char *why)
{
    err_set(err, ERR_CORRUPT, "what is compressed with %s is damaged: %s", what, why);
    return STEP_ERROR;
}

/* The stream stands still: at its end, or in want of input that is not there. */
static enum step stopped(const struct kafka_codec *codec, const char *what, struct err *err)
{
    if (!codec->ended)
        return corrupt(err, what, "it ends too early");
    return kafka_left(&codec->in) == 0 ? STEP_END : corrupt(err, what, "bytes follow its end");
}

/* --- one function for each --- */

static enum step read_plain(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                            struct err *err)
{
    size_t len = kafka_left(&codec->in);

    (void)err;
    if (len == 0)
        return STEP_END;
    if (len > cap)
        len = cap;
    memcpy(out, kafka_take(&codec->in, len), len);
    *got = len;
    return STEP_OK;
}

static enum step read_gzip(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                           struct err *err)
{
    z_stream *gzip = &codec->gzip;
    size_t left = kafka_left(&codec->in);
    int rc;

    if (codec->ended)
        return stopped(codec, "gzip", err);
    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    gzip->next_in = (Bytef *)(uintptr_t)codec->in.at;
    gzip->avail_in = (uInt)left; /* a batch is smaller than 2 GiB */
    gzip->next_out = out;
    gzip->avail_out = (uInt)cap;
    rc = inflate(gzip, Z_NO_FLUSH);
    kafka_take(&codec->in, left - gzip->avail_in);
    *got = cap - gzip->avail_out;
    codec->ended = rc == Z_STREAM_END;
    if (rc == Z_MEM_ERROR)
        abort(); /* out of memory */
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return corrupt(err, "gzip", gzip->msg == NULL ? "unknown reason" : gzip->msg);
    return *got > 0 ? STEP_OK : stopped(codec, "gzip", err);
}

static enum step read_lz4(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                          struct err *err)
{
    if (codec->ended)
        return stopped(codec, "lz4", err);
    for (;;) {
        size_t out_len = cap, in_len = kafka_left(&codec->in);
        size_t rc = LZ4F_decompress(codec->lz4, out, &out_len, codec->in.at, &in_len, NULL);

        if (LZ4F_isError(rc))
            return corrupt(err, "lz4", LZ4F_getErrorName(rc));
        kafka_take(&codec->in, in_len);
        codec->ended = rc == 0;
        *got = out_len;
        if (out_len > 0)
            return STEP_OK;
        if (codec->ended || in_len == 0)
            return stopped(codec, "lz4", err);
    }
}

static enum step read_zstd(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                           struct err *err)
{
    /* Frame after frame, as Java's reader takes them. */
    if (codec->ended && kafka_left(&codec->in) == 0)
        return STEP_END;
    for (;;) {
        ZSTD_inBuffer from = {.src = codec->in.at, .size = kafka_left(&codec->in), .pos = 0};
        ZSTD_outBuffer into = {.dst = out, .size = cap, .pos = 0};
        size_t rc = ZSTD_decompressStream(codec->zstd, &into, &from);

        if (ZSTD_isError(rc))
            return corrupt(err, "zstd", ZSTD_getErrorName(rc));
        kafka_take(&codec->in, from.pos);
        codec->ended = rc == 0;
        *got = into.pos;
        if (into.pos > 0)
            return STEP_OK;
        if (codec->ended || from.pos == 0)
            return stopped(codec, "zstd", err);
    }
}

static int unpack_block(struct kafka_codec *codec, const uint8_t *data, size_t len, struct err *err)
{
    size_t need = 0;

    if (data == NULL || snappy_uncompressed_length((const char *)data, len, &need) != SNAPPY_OK) {
        corrupt(err, "snappy", "a block has no length");
        return -1;
    }
    if (need > SNAPPY_MAX_BYTES)
        return err_set(
            err, ERR_SOURCE,
            "a block compressed with snappy holds %zu bytes, where %zu are the most that "
            "is read",
            need, SNAPPY_MAX_BYTES);
    if (need > codec->block_cap) {
        free(codec->block);
        codec->block = mem_realloc(NULL, need);
        codec->block_cap = need;
    }
    codec->block_at = 0;
    codec->block_len = need;
    if (need > 0 && snappy_uncompress((const char *)data, len, (char *)codec->block,
                                      &codec->block_len) != SNAPPY_OK) {
        codec->block_len = 0;
        corrupt(err, "snappy", "a block cannot be read");
        return -1;
    }
    return 0;
}

static enum step read_snappy(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                             struct err *err)
{
    size_t len;

    while (codec->block_at == codec->block_len) {
        const uint8_t *block;

        len = kafka_left(&codec->in);
        if (len == 0)
            return STEP_END;
        block = codec->framed ? kafka_bytes(&codec->in, &len, NULL) : kafka_take(&codec->in, len);
        if (unpack_block(codec, block, len, err) < 0)
            return STEP_ERROR;
    }
    len = codec->block_len - codec->block_at;
    if (len > cap)
        len = cap;
    memcpy(out, codec->block + codec->block_at, len);
    codec->block_at += len;
    *got = len;
    return STEP_OK;
}

/* --- for owners --- */

struct kafka_codec *kafka_codec_new(void)
{
    return mem_calloc(1, sizeof(struct kafka_codec));
}

void kafka_codec_free(struct kafka_codec *codec)
{
    if (codec == NULL)
        return;
    if (codec->gzip_made)
        inflateEnd(&codec->gzip);
    LZ4F_freeDecompressionContext(codec->lz4);
    ZSTD_freeDCtx(codec->zstd);
    free(codec->block);
    free(codec);
}

static void begin_gzip(struct kafka_codec *codec)
{
    if ((codec->gzip_made ? inflateReset(&codec->gzip)
                          : inflateInit2(&codec->gzip, 16 + MAX_WBITS)) != Z_OK)
        abort(); /* out of memory */
    codec->gzip_made = true;
}

static void begin_lz4(struct kafka_codec *codec)
{
    if (codec->lz4 != NULL)
        LZ4F_resetDecompressionContext(codec->lz4);
    else if (LZ4F_isError(LZ4F_createDecompressionContext(&codec->lz4, LZ4F_VERSION)))
        abort(); /* out of memory */
}

static void begin_zstd(struct kafka_codec *codec)
{
    if (codec->zstd == NULL)
        codec->zstd = ZSTD_createDCtx();
    if (codec->zstd == NULL)
        abort(); /* out of memory */
    ZSTD_DCtx_reset(codec->zstd, ZSTD_reset_session_only);
}

static void begin_snappy(struct kafka_codec *codec)
{
    codec->block_at = codec->block_len = 0;
    codec->framed = kafka_left(&codec->in) >= XERIAL_HEAD_BYTES &&
                    memcmp(codec->in.at, XERIAL_MAGIC, sizeof XERIAL_MAGIC - 1) == 0;
    if (codec->framed)
        kafka_take(&codec->in, XERIAL_HEAD_BYTES);
}

void kafka_codec_begin(struct kafka_codec *codec, enum kafka_codec_kind kind, const uint8_t *data,
                       size_t len)
{
    codec->kind = kind;
    codec->in = kafka_cursor(data, len);
    codec->ended = false;
    if (kind == KAFKA_GZIP)
        begin_gzip(codec);
    else if (kind == KAFKA_LZ4)
        begin_lz4(codec);
    else if (kind == KAFKA_ZSTD)
        begin_zstd(codec);
    else if (kind == KAFKA_SNAPPY)
        begin_snappy(codec);
}

enum step kafka_codec_read(struct kafka_codec *codec, uint8_t *out, size_t cap, size_t *got,
                           struct err *err)
{
    switch (codec->kind) {
    case KAFKA_NONE:
        return read_plain(codec, out, cap, got, err);
    case KAFKA_GZIP:
        return read_gzip(codec, out, cap, got, err);
    case KAFKA_SNAPPY:
        return read_snappy(codec, out, cap, got, err);
    case KAFKA_LZ4:
        return read_lz4(codec, out, cap, got, err);
    case KAFKA_ZSTD:
        return read_zstd(codec, out, cap, got, err);
    }
    abort();
}
