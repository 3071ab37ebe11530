// SPDX-License-Identifier: Apache-2.0
// X.509 by OpenSSL's API: no test waits for a command line, nor depends on its configuration.
#include "certs.h"

#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *open_part(const char *folder, const char *stem, const char *ending, const char *mode)
{
    char *path = text_format("%s/%s.%s", folder, stem, ending);
    FILE *file = fopen(path, mode);

    if (file == NULL)
        fail_msg("open %s", path);
    free(path);
    return file;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void read_issuer(const char *folder, const char *stem, X509 **certificate, EVP_PKEY **key)
{
    FILE *file = open_part(folder, stem, "crt", "r");

    *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    file = open_part(folder, stem, "key", "r");
    *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(*certificate);
    assert_non_null(*key);
}

static X509 *make(const struct cert_ask *ask, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    static long serial = 1000;
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), ask->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), ask->to_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)ask->name, -1, -1,
                               0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer == NULL ? certificate : issuer));
    X509_set_pubkey(certificate, key);
    if (issuer == NULL)
        add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (ask->alt != NULL)
        add_extension(certificate, certificate, NID_subject_alt_name, ask->alt);
    assert_true(X509_sign(certificate, issuer_key == NULL ? key : issuer_key, EVP_sha256()) > 0);
    return certificate;
}

void certs_make(const char *folder, const char *stem, const struct cert_ask *ask)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY *issuer_key = NULL;
    X509 *issuer = NULL;
    X509 *certificate;
    FILE *file;

    assert_non_null(key);
    if (ask->issuer != NULL)
        read_issuer(folder, ask->issuer, &issuer, &issuer_key);
    certificate = make(ask, key, issuer, issuer_key);
    file = open_part(folder, stem, "crt", "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    file = open_part(folder, stem, "key", "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    X509_free(certificate);
    X509_free(issuer);
    EVP_PKEY_free(issuer_key);
    EVP_PKEY_free(key);
}
