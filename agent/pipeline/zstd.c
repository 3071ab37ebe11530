// SPDX-License-Identifier: Apache-2.0
// zstd both ways (RFC 8878). Compression runs in two worker threads of the library; the frame
// carries a content checksum of its own.
#include "mem.h"
#include "stages.h"

#include <stdlib.h>
#include <zstd.h>

#define WORKERS        2
#define MAX_WINDOW_LOG 23

struct zstd_stage {
    struct stage stage;
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    bool in_frame; /* decompression: a frame has begun and not ended */
};

static void zstd_close(struct stage *stage)
{
    struct zstd_stage *zstd = (struct zstd_stage *)stage;

    ZSTD_freeCCtx(zstd->compressor);
    ZSTD_freeDCtx(zstd->decompressor);
    free(zstd);
}

static enum step compress_step(struct stage *stage, struct span_in *in, struct span_out *out,
                               bool last, struct err *err)
{
    struct zstd_stage *zstd = (struct zstd_stage *)stage;
    ZSTD_inBuffer input = {.src = in->data, .size = in->len, .pos = in->pos};
    ZSTD_outBuffer output = {.dst = out->data, .size = out->cap, .pos = out->len};
    size_t left = ZSTD_compressStream2(zstd->compressor, &output, &input,
                                       last ? ZSTD_e_end : ZSTD_e_continue);

    if (ZSTD_isError(left)) {
        err_set(err, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        return STEP_ERROR;
    }
    in->pos = input.pos;
    out->len = output.pos;
    return last && left == 0 && in->pos == in->len ? STEP_END : STEP_OK;
}

static const struct stage_ops compress_ops = {
    .name = "zstd",
    .phase = PHASE_COMPRESS,
    .step = compress_step,
    .close = zstd_close,
};

struct stage *zstd_compress_new(int level)
{
    struct zstd_stage *zstd = mem_calloc(1, sizeof *zstd);

    zstd->stage.ops = &compress_ops;
    zstd->compressor = ZSTD_createCCtx();
    if (zstd->compressor == NULL)
        abort();
    ZSTD_CCtx_setParameter(zstd->compressor, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(zstd->compressor, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(zstd->compressor, ZSTD_c_nbWorkers, WORKERS);
    return &zstd->stage;
}

static enum step decompress_step(struct stage *stage, struct span_in *in, struct span_out *out,
                                 bool last, struct err *err)
{
    struct zstd_stage *zstd = (struct zstd_stage *)stage;
    ZSTD_inBuffer input = {.src = in->data, .size = in->len, .pos = in->pos};
    ZSTD_outBuffer output = {.dst = out->data, .size = out->cap, .pos = out->len};
    size_t before = in->pos + out->len;
    size_t left = ZSTD_decompressStream(zstd->decompressor, &output, &input);

    if (ZSTD_isError(left)) {
        err_set(err, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(left));
        return STEP_ERROR;
    }
    in->pos = input.pos;
    out->len = output.pos;
    if (in->pos + out->len != before)
        zstd->in_frame = left != 0;
    if (!last || in->pos < in->len || out->len == out->cap)
        return STEP_OK;
    if (zstd->in_frame) {
        err_set(err, ERR_CORRUPT, "zstd: the stream ends in the middle of a frame");
        return STEP_ERROR;
    }
    return STEP_END;
}

static const struct stage_ops decompress_ops = {
    .name = "unzstd",
    .phase = PHASE_COMPRESS,
    .step = decompress_step,
    .close = zstd_close,
};

struct stage *zstd_decompress_new(void)
{
    struct zstd_stage *zstd = mem_calloc(1, sizeof *zstd);

    zstd->stage.ops = &decompress_ops;
    zstd->decompressor = ZSTD_createDCtx();
    if (zstd->decompressor == NULL)
        abort();
    ZSTD_DCtx_setParameter(zstd->decompressor, ZSTD_d_windowLogMax, MAX_WINDOW_LOG);
    zstd->in_frame = true;
    return &zstd->stage;
}
