// SPDX-License-Identifier: Apache-2.0
// What both ends of a connection insist on, and the three files. The files are read here and not by
// OpenSSL's own loaders: those do not say which file was wrong, nor ask before they would wait for
// a passphrase at the terminal.
#include "file.h"
#include "mem.h"
#include "tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)256 * 1024)

static int no_passphrase(char *buffer, int cap, int writing, void *arg)
{
    (void)buffer;
    (void)cap;
    (void)writing;
    (void)arg;
    return -1;
}

/* The file as a BIO over *data, which must be freed after it. */
static BIO *open_file(const char *path, char **data, struct err *err)
{
    size_t len = 0;
    BIO *bio;

    if (file_read(path, FILE_MAX_BYTES, data, &len, err) < 0) {
        err->kind = ERR_CONFIG;
        return NULL;
    }
    bio = BIO_new_mem_buf(*data, (int)len);
    if (bio == NULL)
        abort(); /* out of memory */
    return bio;
}

/* Why OpenSSL refused, in its words. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text == NULL ? "unknown reason" : text;
}

/* Calls each() with every certificate of the file; at least one must be there. */
static int read_certificates(const char *path, int (*each)(SSL_CTX *, X509 *, size_t index),
                             SSL_CTX *ssl, struct err *err)
{
    int rc = -1;
    char *data = NULL;
    BIO *bio = open_file(path, &data, err);
    X509 *certificate = NULL;
    size_t count = 0;

    if (bio == NULL)
        return -1;
    for (; (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL; count++) {
        int taken = each(ssl, certificate, count);

        X509_free(certificate);
        if (taken != 1) {
            err_set(err, ERR_CONFIG, "%s: certificate %zu: %s", path, count + 1, reason());
            goto out;
        }
    }
    /* The end is told as an error too: no further "-----BEGIN". */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        err_set(err, ERR_CONFIG, "%s: certificate %zu: %s", path, count + 1, reason());
        goto out;
    }
    if (count == 0) {
        err_set(err, ERR_CONFIG, "%s: holds no certificate in PEM form", path);
        goto out;
    }
    rc = 0;
out:
    ERR_clear_error();
    BIO_free(bio);
    free(data);
    return rc;
}

static int add_authority(SSL_CTX *ssl, X509 *certificate, size_t index)
{
    (void)index;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), certificate);
}

static int add_own(SSL_CTX *ssl, X509 *certificate, size_t index)
{
    return index == 0 ? SSL_CTX_use_certificate(ssl, certificate)
                      : (int)SSL_CTX_add1_chain_cert(ssl, certificate);
}

static int read_key(SSL_CTX *ssl, const char *path, struct err *err)
{
    int rc = -1;
    char *data = NULL;
    BIO *bio = open_file(path, &data, err);
    EVP_PKEY *key;

    if (bio == NULL)
        return -1;
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    /* use_PrivateKey would take a key that does not fit, and drop the certificate. */
    if (key == NULL)
        err_set(err, ERR_CONFIG, "%s: holds no private key in PEM form without a passphrase", path);
    else if (X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) != 1)
        err_set(err, ERR_CONFIG, "%s: is not the key of the certificate", path);
    else if (SSL_CTX_use_PrivateKey(ssl, key) != 1)
        err_set(err, ERR_CONFIG, "%s: %s", path, reason());
    else
        rc = 0;
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(bio);
    OPENSSL_cleanse(data, strlen(data));
    free(data);
    return rc;
}

static int read_authorities(SSL_CTX *ssl, const char *ca_file, struct err *err)
{
    if (ca_file != NULL)
        return read_certificates(ca_file, add_authority, ssl, err);
    if (SSL_CTX_set_default_verify_paths(ssl) != 1)
        return err_set(err, ERR_CONFIG, "the system's authorities cannot be read: %s", reason());
    return 0;
}

int tls_read_files(SSL_CTX *ssl, const struct tls_files *files, struct err *err)
{
    ERR_clear_error();
    if (read_authorities(ssl, files->ca_file, err) < 0)
        return -1;
    if (files->cert_file == NULL)
        return 0;
    if (read_certificates(files->cert_file, add_own, ssl, err) < 0 ||
        read_key(ssl, files->key_file, err) < 0)
        return -1;
    if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(ssl))) < 0)
        return err_set(err, ERR_CONFIG, "%s: the certificate has expired", files->cert_file);
    return 0;
}

static void set_rules(SSL_CTX *ssl, bool server)
{
    int verify = SSL_VERIFY_PEER | (server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);

    SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION);
    /* The send queue may move between two attempts to write it. The chain is the file's, not one
     * that is put together anew for each handshake. */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ssl, 0);
    SSL_CTX_set_verify(ssl, verify, NULL);
    /* Who is named in the file is believed, also when that is not a root. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
}

int tls_context_new(const struct tls_files *files, bool server, struct tls_context **context,
                    struct err *err)
{
    SSL_CTX *ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

    if (ssl == NULL)
        abort(); /* out of memory */
    set_rules(ssl, server);
    if (tls_read_files(ssl, files, err) < 0) {
        SSL_CTX_free(ssl);
        return -1;
    }
    *context = mem_calloc(1, sizeof **context);
    **context = (struct tls_context){.ssl = ssl, .server = server};
    return 0;
}

void tls_context_free(struct tls_context *context)
{
    if (context == NULL)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}
