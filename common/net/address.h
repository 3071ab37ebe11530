// SPDX-License-Identifier: Apache-2.0
// "HOST:PORT" taken apart, and sockets from it.
#pragma once

#include "err.h"

#include <stddef.h>

/* "name:443", "10.0.0.1:443", "[::1]:443" (host comes without the brackets). host of host_cap
 * bytes, port of 6. ERR_CONFIG with the second half of a sentence, as an option's check wants it.
 */
int address_split(const char *address, char *host, size_t host_cap, char *port, struct err *err);
/* For a row: 0 when address_split takes it. */
int address_check(const char *address, struct err *err);
/* A listening, non-blocking socket. Numbers and local names only; may block for a moment. ERR_IO.
 */
int address_listen(const char *address, int *fd, struct err *err);
