// SPDX-License-Identifier: Apache-2.0
// The rows of a Redis component, the form of its url, and what goes together. A password has no
// place in the url: there it would be logged by whoever logs urls, and could come from no file.
#include "redis_options.h"

#include "address.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_PORT "6379"

static int take_path(const char *path, struct redis_address *address, struct err *err)
{
    if (path[0] != '/')
        return err_set(err, ERR_CONFIG, "names no absolute path; write unix:///run/redis.sock");
    if (strlen(path) >= sizeof address->path)
        return err_set(err, ERR_CONFIG, "is too long: the path of a socket has at most %zu bytes",
                       sizeof address->path - 1);
    address->kind = REDIS_UNIX;
    snprintf(address->path, sizeof address->path, "%s", path);
    return 0;
}

/* "HOST[:PORT][/]" */
static int take_host(const char *from, struct redis_address *address, struct err *err)
{
    size_t len = strcspn(from, "/?#");
    char joined[sizeof address->host + sizeof address->port + 8];
    const char *colon = memrchr(from, ':', len);
    bool has_port = colon != NULL && memchr(colon, ']', len - (size_t)(colon - from)) == NULL;

    if (strchr(from, '@') != NULL)
        return err_set(err, ERR_CONFIG,
                       "holds a user or a password; write them as user and password_file (or "
                       "password)");
    if (from[len] != '\0' && strcmp(from + len, "/") != 0)
        return err_set(err, ERR_CONFIG,
                       "goes on after the port; a backup holds all databases, so end it there");
    if (len >= sizeof address->host)
        return err_set(err, ERR_CONFIG, "is too long: a host has at most %zu bytes",
                       sizeof address->host - 1);
    snprintf(joined, sizeof joined, "%.*s%s", (int)len, from, has_port ? "" : ":" DEFAULT_PORT);
    if (address_split(joined, address->host, sizeof address->host, address->port, err) < 0)
        return err_set(err, ERR_CONFIG,
                       "is no address; write redis://HOST:PORT, rediss://HOST:PORT (with TLS) or "
                       "unix:///PATH");
    return 0;
}

int redis_address_parse(const char *url, struct redis_address *address, struct err *err)
{
    struct redis_address read = {.kind = REDIS_TCP};
    int rc;

    if (text_starts_with(url, "unix://"))
        rc = take_path(url + strlen("unix://"), &read, err);
    else if (text_starts_with(url, "rediss://"))
        rc = take_host(url + strlen("rediss://"), &read, err);
    else if (text_starts_with(url, "redis://"))
        rc = take_host(url + strlen("redis://"), &read, err);
    else
        rc = err_set(err, ERR_CONFIG,
                     "is no address; write redis://HOST:PORT, rediss://HOST:PORT (with TLS) or "
                     "unix:///PATH");
    if (rc < 0)
        return -1;
    if (text_starts_with(url, "rediss://"))
        read.kind = REDIS_TLS;
    *address = read;
    return 0;
}

static int check_url(const char *value, struct err *err)
{
    struct redis_address address;

    return redis_address_parse(value, &address, err);
}

static int check_tls(const struct option_node *node, const struct redis_options *options,
                     struct err *err)
{
    const struct {
        const char *key, *value;
    } files[] = {{"ca_file", options->ca_file},
                 {"cert_file", options->cert_file},
                 {"key_file", options->key_file}};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i].value != NULL && !text_starts_with(options->url, "rediss://"))
            return option_node_fail(node, files[i].key, err, ERR_CONFIG,
                                    "is given, but url is not of TLS; write rediss:// there, or "
                                    "remove this");
    if (options->cert_file != NULL && options->key_file == NULL)
        return option_node_fail(node, "cert_file", err, ERR_CONFIG,
                                "is given without key_file; add it");
    if (options->cert_file == NULL && options->key_file != NULL)
        return option_node_fail(node, "key_file", err, ERR_CONFIG,
                                "is given without cert_file; add it");
    return 0;
}

int redis_options_check(const struct option_node *node, const struct redis_options *options,
                        struct err *err)
{
    if (options->user != NULL && options->password == NULL)
        return option_node_fail(node, "user", err, ERR_CONFIG,
                                "is given without password; add password_file or password");
    if (options->method == REDIS_BGSAVE && options->rdb_path == NULL)
        return option_node_fail(node, "method", err, ERR_CONFIG,
                                "is bgsave, which needs rdb_path: where the server's file is seen "
                                "from here, like /data/dump.rdb");
    if (options->method == REDIS_REPLICATION && options->rdb_path != NULL)
        return option_node_fail(node, "rdb_path", err, ERR_CONFIG,
                                "is read with method: bgsave only; add that, or remove this");
    return check_tls(node, options, err);
}

static const char *const methods[] = {
    [REDIS_REPLICATION] = "replication", [REDIS_BGSAVE] = "bgsave", NULL};

const struct option redis_option_rows[] = {
    {.key = "url",
     .type = OPT_TEXT,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct redis_options, url),
     .check = check_url,
     .help = "Where the server is: `redis://HOST:PORT`, `rediss://HOST:PORT` (with TLS) or "
             "`unix:///PATH`."},
    {.key = "user",
     .type = OPT_TEXT,
     .offset = offsetof(struct redis_options, user),
     .help = "The ACL user. Without it: the default user."},
    {.key = "password",
     .type = OPT_TEXT,
     .flags = OPT_SECRET,
     .offset = offsetof(struct redis_options, password),
     .help = "Its password. Without it no AUTH is sent."},
    {.key = "ca_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct redis_options, ca_file),
     .check = option_check_absolute,
     .help = "The authority that the server's certificate must come from, as PEM. Without it: "
             "those that the system trusts."},
    {.key = "cert_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct redis_options, cert_file),
     .check = option_check_absolute,
     .help = "Own certificate, as PEM, for a server that asks for one."},
    {.key = "key_file",
     .type = OPT_TEXT,
     .offset = offsetof(struct redis_options, key_file),
     .check = option_check_absolute,
     .help = "Its key, as PEM without a passphrase."},
    {.key = "method",
     .type = OPT_CHOICE,
     .offset = offsetof(struct redis_options, method),
     .def = "replication",
     .choices = methods,
     .help = "`replication`: the server sends its data as to a replica; needs no shared volume. "
             "`bgsave`: the server writes its RDB file, which is then read from rdb_path."},
    {.key = "rdb_path",
     .type = OPT_TEXT,
     .offset = offsetof(struct redis_options, rdb_path),
     .check = option_check_absolute,
     .help = "For `bgsave`: the server's RDB file as it is seen here; a read-only mount will do."},
    {.key = "timeout",
     .type = OPT_DURATION,
     .offset = offsetof(struct redis_options, timeout_ms),
     .def = "30s",
     .min = 100,
     .max = UINT64_C(3600) * 1000,
     .help = "How long connecting, and each answer, may take."},
    {.key = "server",
     .type = OPT_TEXT,
     .offset = offsetof(struct redis_options, server),
     .check = option_check_absolute,
     .help = "The redis-server or valkey-server that a drill starts. Without it: the one in PATH."},
    OPTION_END,
};
