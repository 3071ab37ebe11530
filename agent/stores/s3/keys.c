// SPDX-License-Identifier: Apache-2.0
// Reads the keys out of the answers of STS (XML) and of the container's and machine's services
// (JSON). Their form, by example:
//   <AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
//     <AccessKeyId>, <SecretAccessKey>, <SessionToken>, <Expiration>2026-11-23T08:15:00Z
//   {"AccessKeyId": "", "SecretAccessKey": "", "Token": "", "Expiration": "2026-11-23T08:15:00Z"}
#include "internal.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void s3_keys_fini(struct s3_keys *keys)
{
    free(keys->access_key);
    free(keys->secret_key);
    free(keys->session_token);
    *keys = (struct s3_keys){.access_key = NULL};
}

void s3_keys_set(struct s3_keys *keys, const char *access_key, const char *secret_key,
                 const char *session_token, int64_t expires_ms)
{
    s3_keys_fini(keys);
    log_hide(secret_key);
    if (session_token != NULL)
        log_hide(session_token);
    *keys =
        (struct s3_keys){.access_key = mem_strdup(access_key),
                         .secret_key = mem_strdup(secret_key),
                         .session_token = session_token == NULL ? NULL : mem_strdup(session_token),
                         .expires_ms = expires_ms};
}

/* A header line or a signature is made of these: one word of printable ASCII. */
static bool is_word(const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);

    if (len == 0 || len > 8192)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    return true;
}

static int accept_keys(struct s3_keys *keys, const char *access_key, const char *secret_key,
                       const char *session_token, const char *expires, struct err *err)
{
    int64_t expires_ms = 0;

    if (!is_word(access_key) || !is_word(secret_key) || !is_word(session_token))
        return err_set(err, ERR_DENIED, "the answer holds no keys");
    if (expires == NULL || clock_parse(expires, &expires_ms) < 0)
        return err_set(err, ERR_DENIED, "the answer does not say when its keys expire");
    s3_keys_set(keys, access_key, secret_key, session_token, expires_ms);
    return 0;
}

static int each_of_sts(void *arg, const char *path, const char *text, struct err *err)
{
    struct s3_keys *found = arg;
    const struct {
        const char *end;
        char **value;
    } wanted[] = {{"/Credentials/AccessKeyId", &found->access_key},
                  {"/Credentials/SecretAccessKey", &found->secret_key},
                  {"/Credentials/SessionToken", &found->session_token}};

    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (!text_ends_with(path, wanted[i].end))
            continue;
        free(*wanted[i].value);
        *wanted[i].value = mem_strdup(text);
    }
    if (text_ends_with(path, "/Credentials/Expiration") &&
        clock_parse(text, &found->expires_ms) < 0)
        return err_set(err, ERR_DENIED, "the answer does not say when its keys expire");
    return 0;
}

int s3_keys_from_xml(const char *data, size_t len, struct s3_keys *keys, struct err *err)
{
    struct s3_keys found = {.access_key = NULL};
    char expires[CLOCK_TEXT_CAP];
    int rc = -1;

    if (s3_xml_read(data, len, each_of_sts, &found, err) < 0)
        goto out;
    rc = accept_keys(keys, found.access_key, found.secret_key, found.session_token,
                     found.expires_ms == 0 ? NULL : clock_format(found.expires_ms, expires), err);
out:
    s3_keys_fini(&found);
    return rc;
}

int s3_keys_from_json(const char *data, size_t len, struct s3_keys *keys, struct err *err)
{
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;

    if (root == NULL)
        err_set(err, ERR_DENIED, "the answer is not JSON");
    else
        rc = accept_keys(keys, json_string_value(json_object_get(root, "AccessKeyId")),
                         json_string_value(json_object_get(root, "SecretAccessKey")),
                         json_string_value(json_object_get(root, "Token")),
                         json_string_value(json_object_get(root, "Expiration")), err);
    json_decref(root);
    return rc;
}
