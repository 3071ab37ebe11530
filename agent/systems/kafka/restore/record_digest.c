// SPDX-License-Identifier: Apache-2.0
// SHA-256 over numbers in network order and the bytes themselves; a length of -1 is null.
#include "record_digest.h"

#include "mem.h"
#include "text.h"

#include <arpa/inet.h>
#include <endian.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct kafka_record_digest {
    EVP_MD_CTX *context;
};

struct kafka_record_digest *kafka_record_digest_new(void)
{
    struct kafka_record_digest *digest = mem_calloc(1, sizeof *digest);

    digest->context = EVP_MD_CTX_new();
    if (digest->context == NULL || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1)
        abort(); /* out of memory */
    return digest;
}

static void add_number(struct kafka_record_digest *digest, uint32_t number)
{
    uint32_t sent = htonl(number);

    EVP_DigestUpdate(digest->context, &sent, sizeof sent);
}

static void add_field(struct kafka_record_digest *digest, const uint8_t *data, size_t len)
{
    add_number(digest, data == NULL ? UINT32_MAX : (uint32_t)len);
    if (len > 0)
        EVP_DigestUpdate(digest->context, data, len);
}

void kafka_record_digest_add(struct kafka_record_digest *digest, const struct kafka_record *record,
                             int64_t timestamp)
{
    struct kafka_record copy = *record;
    uint64_t time = htobe64((uint64_t)timestamp);
    struct kafka_header header;

    EVP_DigestUpdate(digest->context, &time, sizeof time);
    add_field(digest, record->key, record->key_len);
    add_field(digest, record->value, record->value_len);
    add_number(digest, (uint32_t)record->header_count);
    while (kafka_record_header(&copy, &header)) {
        add_field(digest, header.name, header.name_len);
        add_field(digest, header.value, header.value_len);
    }
}

void kafka_record_digest_end(struct kafka_record_digest *digest, char sha256[65])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (digest == NULL)
        digest = kafka_record_digest_new();
    EVP_DigestFinal_ex(digest->context, sum, &len);
    text_hex(sum, len, sha256);
    EVP_MD_CTX_free(digest->context);
    free(digest);
}
