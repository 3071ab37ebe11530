// SPDX-License-Identifier: Apache-2.0
// The client's side of SCRAM (RFC 5802, RFC 7677) without channel binding: what to say, and whether
// the server proves in the end that it knows the password too. Pure: it sends nothing.
#pragma once

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/* Fewer rounds are no protection, and more are an attack on this side. */
#define SCRAM_ITERATIONS_LEAST 4096
#define SCRAM_ITERATIONS_MOST  1000000

struct scram;

/* SCRAM-SHA-512, or SCRAM-SHA-256. nonce: printable, without a comma, new each time. All copied. */
struct scram *scram_new(bool sha512, const char *user, const char *password, const char *nonce);
/* NULL is allowed. */
void scram_free(struct scram *scram);
/* The first message; lent. */
const char *scram_first(const struct scram *scram);
/* The server's answer to it. ERR_DENIED when it is none that a good server gives. */
int scram_challenge(struct scram *scram, const char *said, size_t len, struct err *err);
/* After that: the second message; lent. */
const char *scram_final(const struct scram *scram);
/* The server's answer to that. ERR_DENIED: it refuses, or does not know the password. */
int scram_verify(struct scram *scram, const char *said, size_t len, struct err *err);
