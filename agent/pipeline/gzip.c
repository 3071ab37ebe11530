// SPDX-License-Identifier: Apache-2.0
// gzip both ways (RFC 1952) by zlib. One member: `gunzip` and every browser of archives opens it.
#include "mem.h"
#include "stages.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* the largest window, with gzip's header and trailer */

struct gzip_stage {
    struct stage stage;
    z_stream z;
    bool ended; /* decompression: the trailer was read and was right */
};

static void lend(z_stream *z, const struct span_in *in, const struct span_out *out)
{
    z->next_in = (Bytef *)(uintptr_t)(in->data + in->pos);
    z->avail_in = (uInt)(in->len - in->pos);
    z->next_out = out->data + out->len;
    z->avail_out = (uInt)(out->cap - out->len);
}

static void give_back(const z_stream *z, struct span_in *in, struct span_out *out)
{
    in->pos = in->len - z->avail_in;
    out->len = out->cap - z->avail_out;
}

static enum step deflate_step(struct stage *stage, struct span_in *in, struct span_out *out,
                              bool last, struct err *err)
{
    struct gzip_stage *gzip = (struct gzip_stage *)stage;
    int code;

    lend(&gzip->z, in, out);
    code = deflate(&gzip->z, last ? Z_FINISH : Z_NO_FLUSH);
    give_back(&gzip->z, in, out);
    if (code == Z_STREAM_END)
        return STEP_END;
    if (code != Z_OK && code != Z_BUF_ERROR) {
        err_set(err, ERR_INTERNAL, "deflate: error %d", code);
        return STEP_ERROR;
    }
    return STEP_OK;
}

static void deflate_close(struct stage *stage)
{
    struct gzip_stage *gzip = (struct gzip_stage *)stage;

    deflateEnd(&gzip->z);
    free(gzip);
}

static const struct stage_ops compress_ops = {
    .name = "gzip",
    .phase = PHASE_COMPRESS,
    .step = deflate_step,
    .close = deflate_close,
};

struct stage *gzip_compress_new(int level)
{
    struct gzip_stage *gzip = mem_calloc(1, sizeof *gzip);

    gzip->stage.ops = &compress_ops;
    if (deflateInit2(&gzip->z, level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    return &gzip->stage;
}

static enum step inflate_step(struct stage *stage, struct span_in *in, struct span_out *out,
                              bool last, struct err *err)
{
    struct gzip_stage *gzip = (struct gzip_stage *)stage;
    int code = Z_OK;

    if (!gzip->ended) {
        lend(&gzip->z, in, out);
        code = inflate(&gzip->z, Z_NO_FLUSH);
        give_back(&gzip->z, in, out);
        gzip->ended = code == Z_STREAM_END;
    }
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        err_set(err, ERR_CORRUPT, "gzip: %s", gzip->z.msg == NULL ? "broken data" : gzip->z.msg);
        return STEP_ERROR;
    }
    if (gzip->ended && in->pos < in->len) {
        err_set(err, ERR_CORRUPT, "gzip: bytes after the end of the member");
        return STEP_ERROR;
    }
    if (!last || out->len == out->cap)
        return STEP_OK;
    if (!gzip->ended) {
        err_set(err, ERR_CORRUPT, "gzip: the stream ends in the middle of the member");
        return STEP_ERROR;
    }
    return STEP_END;
}

static void inflate_close(struct stage *stage)
{
    struct gzip_stage *gzip = (struct gzip_stage *)stage;

    inflateEnd(&gzip->z);
    free(gzip);
}

static const struct stage_ops decompress_ops = {
    .name = "gunzip",
    .phase = PHASE_COMPRESS,
    .step = inflate_step,
    .close = inflate_close,
};

struct stage *gzip_decompress_new(void)
{
    struct gzip_stage *gzip = mem_calloc(1, sizeof *gzip);

    gzip->stage.ops = &decompress_ops;
    if (inflateInit2(&gzip->z, GZIP_WINDOW_BITS) != Z_OK)
        abort();
    return &gzip->stage;
}
