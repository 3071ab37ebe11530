// SPDX-License-Identifier: Apache-2.0
// A digest over records in order: timestamp, key, value and headers, each with its length, so that
// null is not empty and nothing can move from one field into the next. Offsets are not in it.
#pragma once

#include "wire/records.h"

struct kafka_record_digest;

struct kafka_record_digest *kafka_record_digest_new(void);
/* timestamp stands for the record's. The record is not changed. */
void kafka_record_digest_add(struct kafka_record_digest *digest, const struct kafka_record *record,
                             int64_t timestamp);
/* Frees it. NULL is the digest of no records. */
void kafka_record_digest_end(struct kafka_record_digest *digest, char sha256[65]);
