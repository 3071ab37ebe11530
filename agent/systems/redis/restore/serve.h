// SPDX-License-Identifier: Apache-2.0
// The master of one server for one transfer: listens where that server reaches us, takes its
// connection and no other, and serves one RDB file of known length.
#pragma once

#include "conn.h"

struct redis_serving;

/* Listens, on a port of the system's choice, at the address by which conn's server reaches us, and
 * on loopback for a unix socket. tls: only a client with a certificate of options->ca_file's
 * authority is taken, and options->cert_file is shown to it. */
int redis_serving_open(const struct redis_conn *conn, const struct redis_options *options, bool tls,
                       struct redis_serving **serving, struct err *err);
/* Ends the server's connection. NULL is allowed. */
void redis_serving_close(struct redis_serving *serving);

/* For REPLICAOF; lent. */
const char *redis_serving_host(const struct redis_serving *serving);
const char *redis_serving_port(const struct redis_serving *serving);

/* A sink for exactly bytes of an RDB file. The server proves itself by asking to go on from replid,
 * its own of the moment before REPLICAOF (lent). commit ends when it has loaded the file. The
 * connection outlives the sink: a server whose master is gone asks for it without a pause. */
struct sink *redis_serving_sink(struct redis_serving *serving, const char *replid, uint64_t bytes);
