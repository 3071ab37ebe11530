// SPDX-License-Identifier: Apache-2.0
// The swap: the restored database takes the live one's name, in one transaction.
#pragma once

#include "session.h"

/* Renames live to old and restored to live, both or neither. old NULL: there is no live database,
 * restored just gets its name. maintenance is connected to neither of the three; helper is a second
 * session like it, which disconnects the clients of the live database meanwhile. Gives up after 5
 * seconds, with everything as it was. */
int pg_swap(struct pg_session *maintenance, struct pg_session *helper, const char *live,
            const char *restored, const char *old, struct err *err);
