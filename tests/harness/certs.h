// SPDX-License-Identifier: Apache-2.0
// Certificates for tests: an authority, and what it signs.
#pragma once

struct cert_ask {
    const char *name;   /* common name */
    const char *alt;    /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    const char *issuer; /* stem of the authority's files in the same folder; NULL: is one itself */
    long from_s, to_s;  /* valid, counted from now */
};

/* Writes FOLDER/STEM.crt and FOLDER/STEM.key; fails the test when that does not go. */
void certs_make(const char *folder, const char *stem, const struct cert_ask *ask);
