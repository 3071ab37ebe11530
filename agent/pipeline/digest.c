// SPDX-License-Identifier: Apache-2.0
// SHA-256 in passing (FIPS 180-4, by OpenSSL).
#include "digest.h"

#include "mem.h"
#include "stages.h"
#include "text.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct sha256 {
    EVP_MD_CTX *context;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *sha = mem_calloc(1, sizeof *sha);

    sha->context = EVP_MD_CTX_new();
    sha256_reset(sha);
    return sha;
}

void sha256_reset(struct sha256 *sha)
{
    int ok = sha->context != NULL && EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL);

    if (!ok)
        abort();
}

void sha256_add(struct sha256 *sha, const void *data, size_t len)
{
    int ok = EVP_DigestUpdate(sha->context, data, len);

    assert(ok);
    (void)ok;
}

void sha256_hex(struct sha256 *sha, char *hex)
{
    uint8_t bytes[32];
    unsigned len = sizeof bytes;
    int ok = EVP_DigestFinal_ex(sha->context, bytes, &len);

    assert(ok && len == sizeof bytes);
    (void)ok;
    text_hex(bytes, sizeof bytes, hex);
}

void sha256_free(struct sha256 *sha)
{
    if (sha == NULL)
        return;
    EVP_MD_CTX_free(sha->context);
    free(sha);
}

struct digest {
    struct stage stage;
    struct sha256 *sha;
    uint64_t bytes;
    struct digest_result *result;  /* digest_new; else NULL */
    struct digest_result expected; /* digest_check_new */
    char *what;
};

static int check(const struct digest *digest, const char *hex, struct err *err)
{
    if (digest->bytes != digest->expected.bytes)
        return err_set(err, ERR_CORRUPT, "%s has %llu bytes, the manifest says %llu", digest->what,
                       (unsigned long long)digest->bytes,
                       (unsigned long long)digest->expected.bytes);
    if (strcmp(hex, digest->expected.sha256) != 0)
        return err_set(err, ERR_CORRUPT, "%s has SHA-256 %s, the manifest says %s", digest->what,
                       hex, digest->expected.sha256);
    return 0;
}

static enum step digest_step(struct stage *stage, struct span_in *in, struct span_out *out,
                             bool last, struct err *err)
{
    struct digest *digest = (struct digest *)stage;
    size_t left = in->len - in->pos;
    size_t space = out->cap - out->len;
    size_t n = left < space ? left : space;
    char hex[SHA256_HEX_CAP];

    if (n > 0) {
        memcpy(out->data + out->len, in->data + in->pos, n);
        sha256_add(digest->sha, in->data + in->pos, n);
    }
    in->pos += n;
    out->len += n;
    digest->bytes += n;
    if (!last || in->pos < in->len)
        return STEP_OK;
    sha256_hex(digest->sha, hex);
    if (digest->result != NULL) {
        digest->result->bytes = digest->bytes;
        memcpy(digest->result->sha256, hex, sizeof hex);
        return STEP_END;
    }
    return check(digest, hex, err) < 0 ? STEP_ERROR : STEP_END;
}

static void digest_close(struct stage *stage)
{
    struct digest *digest = (struct digest *)stage;

    sha256_free(digest->sha);
    free(digest->what);
    free(digest);
}

static const struct stage_ops digest_ops = {
    .name = "digest",
    .phase = PHASE_PLAIN_DIGEST,
    .step = digest_step,
    .close = digest_close,
};

struct stage *digest_new(struct digest_result *result)
{
    struct digest *digest = mem_calloc(1, sizeof *digest);

    digest->stage.ops = &digest_ops;
    digest->sha = sha256_new();
    digest->result = result;
    return &digest->stage;
}

struct stage *digest_check_new(const struct digest_result *expected, const char *what)
{
    struct digest *digest = mem_calloc(1, sizeof *digest);

    digest->stage.ops = &digest_ops;
    digest->sha = sha256_new();
    digest->expected = *expected;
    digest->what = mem_strdup(what);
    return &digest->stage;
}
