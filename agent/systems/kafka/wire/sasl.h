// SPDX-License-Identifier: Apache-2.0
// Logging in to a broker: SaslHandshake, then SaslAuthenticate with PLAIN or SCRAM.
#pragma once

#include "broker.h"

/* Waits for it. answer is where answers may be put meanwhile. ERR_DENIED: the broker offers another
 * mechanism, or refuses user or password; also when it does not prove that it knows the password
 * (SCRAM). */
int kafka_sasl(struct kafka_broker *broker, const struct kafka_options *options,
               struct kafka_buffer *answer, struct err *err);
