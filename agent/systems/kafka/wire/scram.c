// SPDX-License-Identifier: Apache-2.0
// As in RFC 5802, section 3:
//
//   C: n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL
//   S: r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096
//   C: c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=
//   S: v=rmF9pqV8S7suAoZWja4dJRkFsKQ=
#include "scram.h"

#include "mem.h"
#include "text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define GS2_HEADER     "n,,"
#define GS2_BASE64     "biws"
#define SALT_MAX_BYTES 1024
#define SAID_MAX_BYTES 4096

struct scram {
    const EVP_MD *digest;
    size_t digest_len;
    char *password, *nonce;
    char *first;       /* with the header */
    struct text final; /* "" before the challenge */
    uint8_t server_signature[EVP_MAX_MD_SIZE];
};

static void hmac(const struct scram *scram, const uint8_t *key, const void *data, size_t len,
                 uint8_t *out)
{
    unsigned out_len = 0;

    if (HMAC(scram->digest, key, (int)scram->digest_len, data, len, out, &out_len) == NULL)
        abort(); /* out of memory */
}

static void add_base64(struct text *into, const uint8_t *data, size_t len)
{
    text_reserve(into, (len + 2) / 3 * 4);
    into->len += (size_t)EVP_EncodeBlock((uint8_t *)into->data + into->len, data, (int)len);
}

/* The count of bytes, or -1. in may be as long as a message. */
static int from_base64(const char *in, size_t len, uint8_t *out)
{
    int got;

    if (len == 0 || len % 4 != 0)
        return -1;
    got = EVP_DecodeBlock(out, (const uint8_t *)in, (int)len);
    if (got < 0)
        return -1;
    return got - (in[len - 1] == '=') - (in[len - 2] == '=');
}

/* A comma would end the name, and '=' begins what stands for both. */
static void add_name(struct text *into, const char *user)
{
    for (; *user != '\0'; user++) {
        if (*user == ',')
            text_add(into, "=2C");
        else if (*user == '=')
            text_add(into, "=3D");
        else
            text_add_char(into, *user);
    }
}

struct scram *scram_new(bool sha512, const char *user, const char *password, const char *nonce)
{
    struct scram *scram = mem_calloc(1, sizeof *scram);
    struct text first = TEXT_INIT;

    scram->digest = sha512 ? EVP_sha512() : EVP_sha256();
    scram->digest_len = (size_t)EVP_MD_size(scram->digest);
    scram->password = mem_strdup(password);
    scram->nonce = mem_strdup(nonce);
    text_add(&first, GS2_HEADER "n=");
    add_name(&first, user);
    text_add(&first, ",r=%s", nonce);
    scram->first = text_take(&first);
    return scram;
}

void scram_free(struct scram *scram)
{
    if (scram == NULL)
        return;
    OPENSSL_cleanse(scram->password, strlen(scram->password));
    free(scram->password);
    free(scram->nonce);
    free(scram->first);
    text_fini(&scram->final);
    free(scram);
}

const char *scram_first(const struct scram *scram)
{
    return scram->first;
}

const char *scram_final(const struct scram *scram)
{
    return text_str(&scram->final);
}

/* Proof and signature, over the three messages in *said. */
static void prove(struct scram *scram, const uint8_t *salt, size_t salt_len, int iterations,
                  const struct text *said)
{
    uint8_t salted[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE];
    uint8_t proof[EVP_MAX_MD_SIZE];

    if (PKCS5_PBKDF2_HMAC(scram->password, (int)strlen(scram->password), salt, (int)salt_len,
                          iterations, scram->digest, (int)scram->digest_len, salted) != 1)
        abort(); /* out of memory */
    hmac(scram, salted, "Client Key", strlen("Client Key"), key);
    if (EVP_Digest(key, scram->digest_len, stored, NULL, scram->digest, NULL) != 1)
        abort(); /* out of memory */
    hmac(scram, stored, said->data, said->len, proof);
    for (size_t i = 0; i < scram->digest_len; i++)
        proof[i] ^= key[i];
    text_add(&scram->final, ",p=");
    add_base64(&scram->final, proof, scram->digest_len);
    hmac(scram, salted, "Server Key", strlen("Server Key"), key);
    hmac(scram, key, said->data, said->len, scram->server_signature);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(key, sizeof key);
}

/* The value of "x=value" at *at, which goes behind it and its comma; NULL when it is not there. */
static const char *field(const char **at, char name, size_t *len)
{
    const char *value = *at + 2;

    if ((*at)[0] != name || (*at)[1] != '=')
        return NULL;
    *len = strcspn(value, ",");
    *at = value + *len;
    if (**at == ',')
        ++*at;
    return value;
}

static int answer(struct scram *scram, const char *said, struct err *err)
{
    uint8_t salt[SALT_MAX_BYTES];
    struct text messages = TEXT_INIT;
    const char *at = said;
    size_t nonce_len, encoded_len, count_len;
    const char *nonce = field(&at, 'r', &nonce_len);
    const char *encoded = nonce == NULL ? NULL : field(&at, 's', &encoded_len);
    const char *count = encoded == NULL ? NULL : field(&at, 'i', &count_len);
    int salt_len = count == NULL || encoded_len > SALT_MAX_BYTES
                       ? -1
                       : from_base64(encoded, encoded_len, salt);
    char number[16];
    uint64_t iterations;

    if (salt_len <= 0 || count_len >= sizeof number || nonce_len <= strlen(scram->nonce) ||
        strncmp(nonce, scram->nonce, strlen(scram->nonce)) != 0)
        return err_set(err, ERR_DENIED, "the broker does not answer as SCRAM demands");
    memcpy(number, count, count_len);
    number[count_len] = '\0';
    if (text_parse_u64(number, &iterations) < 0 || iterations < SCRAM_ITERATIONS_LEAST ||
        iterations > SCRAM_ITERATIONS_MOST)
        return err_set(err, ERR_DENIED,
                       "the broker asks for a SCRAM of %s rounds; %d to %d are accepted", number,
                       SCRAM_ITERATIONS_LEAST, SCRAM_ITERATIONS_MOST);
    text_add(&scram->final, "c=" GS2_BASE64 ",r=%.*s", (int)nonce_len, nonce);
    text_add(&messages, "%s,%s,%s", scram->first + strlen(GS2_HEADER), said,
             text_str(&scram->final));
    prove(scram, salt, (size_t)salt_len, (int)iterations, &messages);
    text_fini(&messages);
    return 0;
}

int scram_challenge(struct scram *scram, const char *said, size_t len, struct err *err)
{
    char *copy;
    int rc;

    if (len > SAID_MAX_BYTES)
        return err_set(err, ERR_DENIED, "the broker does not answer as SCRAM demands");
    copy = mem_strndup(len == 0 ? "" : said, len);
    text_fix_utf8(copy);
    rc = answer(scram, copy, err);
    free(copy);
    return rc;
}

int scram_verify(struct scram *scram, const char *said, size_t len, struct err *err)
{
    uint8_t signature[SAID_MAX_BYTES];

    if (len >= 2 && said[0] == 'e' && said[1] == '=')
        return err_set(err, ERR_DENIED, "the broker refuses user or password");
    if (len < 2 || said[0] != 'v' || said[1] != '=' || len - 2 > sizeof signature ||
        from_base64(said + 2, len - 2, signature) != (int)scram->digest_len ||
        CRYPTO_memcmp(signature, scram->server_signature, scram->digest_len) != 0)
        return err_set(
            err, ERR_DENIED,
            "the broker does not prove that it knows the password: is it the right one?");
    return 0;
}
