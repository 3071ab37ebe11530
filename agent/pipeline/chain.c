// SPDX-License-Identifier: Apache-2.0
// Backup: digest of the plain bytes, compress. Restore: decompress, compare the digest. The digests
// of the stored bytes are taken where the stream is cut into pieces, one a piece (pieces.c).
#include "chain.h"

#include <string.h>

static const struct {
    const char *name, *suffix;
} codecs[] = {
    [CODEC_NONE] = {.name = "none", .suffix = ""},
    [CODEC_GZIP] = {.name = "gzip", .suffix = ".gz"},
    [CODEC_ZSTD] = {.name = "zstd", .suffix = ".zst"},
};

const char *codec_name(enum codec codec)
{
    return codecs[codec].name;
}

const char *codec_suffix(enum codec codec)
{
    return codecs[codec].suffix;
}

struct chain chain_inwards(enum codec codec, int level, struct digest_result *plain)
{
    struct chain chain = {.count = 0};

    chain.stages[chain.count++] = digest_new(plain);
    if (codec == CODEC_ZSTD)
        chain.stages[chain.count++] = zstd_compress_new(level);
    if (codec == CODEC_GZIP)
        chain.stages[chain.count++] = gzip_compress_new(level);
    return chain;
}

int chain_outwards(const char *codec, const struct digest_result *expected, const char *what,
                   struct chain *chain, struct err *err)
{
    struct chain built = {.count = 0};

    if (strcmp(codec, codec_name(CODEC_ZSTD)) == 0)
        built.stages[built.count++] = zstd_decompress_new();
    else if (strcmp(codec, codec_name(CODEC_GZIP)) == 0)
        built.stages[built.count++] = gzip_decompress_new();
    else if (strcmp(codec, codec_name(CODEC_NONE)) != 0)
        return err_set(err, ERR_CORRUPT, "%s: codec \"%s\" is not one of zstd, gzip, none", what,
                       codec);
    built.stages[built.count++] = digest_check_new(expected, what);
    *chain = built;
    return 0;
}
