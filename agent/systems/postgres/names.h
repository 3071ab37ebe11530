// SPDX-License-Identifier: Apache-2.0
// Names: quoted for SQL, as keys of manifests, and made to fit.
#pragma once

#include <stddef.h>

#define PG_NAME_CAP 64 /* NAMEDATALEN: the longest name and its end */

/* Quoted for SQL; free() them. With standard_conforming_strings on, as every session has it. */
char *pg_quote_name(const char *name);
char *pg_quote_text(const char *text);

/* How a table is called in manifests and findings: schema.table, each quoted as in SQL unless it is
 * made of a-z, 0-9 and _ alone, whatever words a version of PostgreSQL reserves. Bytes that are not
 * UTF-8 (databases of another encoding) become \xNN. free() it. */
char *pg_table_key(const char *schema, const char *table);
/* text with each byte that is not UTF-8 as escape and two hexadecimal digits; free() it. */
char *pg_clean_text(const char *text, const char *escape);

/* name and suffix as one name of at most 63 bytes: the name is cut where it must be, never within
 * a character. out has PG_NAME_CAP bytes. */
void pg_name_make(const char *name, const char *suffix, char *out);
