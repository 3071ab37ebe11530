// SPDX-License-Identifier: Apache-2.0
// Where the keys come from, in the usual order: the options; AWS_ACCESS_KEY_ID; a web identity
// (AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE: an unsigned call to STS); the container's service
// (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI); the machine's metadata (IMDSv2).
//
// Keys with an end are fetched anew five minutes before it, while the old ones go on being used,
// so that an upload may outlive any number of them; calls wait only when none are good for another
// minute. Token files are read again each time. One fetch runs at a time: one request, or for the
// metadata three (token, role, keys).
#include "internal.h"

#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define FETCH_BEFORE_MS   300000 /* of the end */
#define USABLE_BEFORE_MS  60000
#define FETCH_AGAIN_MS    10000 /* after an attempt, while the keys are usable */
#define FETCH_TIMEOUT_MS  10000
#define LINK_LOCAL_MS     2000 /* the machine's service answers at once, or is not there */
#define TOKEN_MAX_BYTES   ((size_t)64 * 1024)
#define METADATA_ENDPOINT "http://169.254.169.254"
#define METADATA_ROLES    "/latest/meta-data/iam/security-credentials/"

enum origin { FIXED, WEB_IDENTITY, CONTAINER, METADATA };

struct s3_credentials {
    enum origin origin;
    struct http *http;
    struct s3_keys keys; /* access_key NULL: none yet */
    char *url;           /* of the service, without a path for METADATA */
    char *role_arn;
    char *token_file; /* WEB_IDENTITY; CONTAINER: may be NULL */
    char *auth;       /* METADATA: the header line with the token of this fetch */
    char *role;       /* METADATA: of this fetch */
    char *body;       /* of request */
    struct http_request *request;
    struct s3_waiter *waiters;
    int64_t fetch_from_ms; /* no earlier, after an attempt */
    bool is_fresh;         /* until then: the keys came with it */
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

/* --- waiting --- */

void s3_credentials_forget(struct s3_credentials *credentials, struct s3_waiter *waiter)
{
    for (struct s3_waiter **at = &credentials->waiters; *at != NULL; at = &(*at)->next) {
        if (*at == waiter) {
            *at = waiter->next;
            return;
        }
    }
}

/* Who is woken may wait again at once, or make others forget: so the list is read anew each time,
 * and only those are woken who were there at the start. */
static void wake_all(struct s3_credentials *credentials, const struct err *err)
{
    struct s3_waiter *next = NULL;

    for (struct s3_waiter *at = credentials->waiters; at != NULL; at = at->next)
        at->woken = true;
    do {
        next = credentials->waiters;
        while (next != NULL && !next->woken)
            next = next->next;
        if (next != NULL) {
            s3_credentials_forget(credentials, next);
            next->wake(next->arg, err);
        }
    } while (next != NULL);
}

/* --- fetching --- */

static int read_token(const char *path, char **token, struct err *err)
{
    if (file_read(path, TOKEN_MAX_BYTES, token, NULL, err) < 0)
        return -1;
    (*token)[strcspn(*token, "\r\n")] = '\0';
    log_hide(*token);
    return 0;
}

static void on_answer(void *arg, struct http_answer *answer);

static void start(struct s3_credentials *credentials, enum http_method method, const char *url,
                  const char *header)
{
    bool local = credentials->origin != WEB_IDENTITY;

    credentials->request = http_start(
        credentials->http,
        &(struct http_ask){
            .method = method,
            .url = url,
            .headers = header == NULL ? NULL : (const char *const[]){header, NULL},
            .body = (const uint8_t *)(credentials->body == NULL ? "" : credentials->body),
            .body_bytes = credentials->body == NULL ? 0 : strlen(credentials->body),
            .answer_max_bytes = S3_ANSWER_MAX_BYTES,
            .connect_timeout_ms = credentials->origin == METADATA ? LINK_LOCAL_MS : 0,
            .total_timeout_ms = FETCH_TIMEOUT_MS,
            .direct = local,
            .done = on_answer,
            .arg = credentials,
        });
}

static int ask_sts(struct s3_credentials *credentials, struct err *err)
{
    struct text body = TEXT_INIT;
    char *token = NULL;

    if (read_token(credentials->token_file, &token, err) < 0)
        return err_wrap(err, "AWS_WEB_IDENTITY_TOKEN_FILE");
    text_add(&body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=");
    s3_url_encode(
        &body, variable("AWS_ROLE_SESSION_NAME") ? variable("AWS_ROLE_SESSION_NAME") : "lifeboat",
        false);
    text_add(&body, "&RoleArn=");
    s3_url_encode(&body, credentials->role_arn, false);
    text_add(&body, "&WebIdentityToken=");
    s3_url_encode(&body, token, false);
    free(token);
    free(credentials->body);
    credentials->body = text_take(&body);
    start(credentials, HTTP_POST, credentials->url, NULL);
    return 0;
}

static int ask_container(struct s3_credentials *credentials, struct err *err)
{
    const char *plain = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char *token = NULL, *header = NULL;

    if (credentials->token_file != NULL) {
        if (read_token(credentials->token_file, &token, err) < 0)
            return err_wrap(err, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    } else if (plain != NULL) {
        log_hide(plain);
        token = mem_strdup(plain);
        token[strcspn(token, "\r\n")] = '\0';
    }
    if (token != NULL)
        header = text_format("Authorization: %s", token);
    start(credentials, HTTP_GET, credentials->url, header);
    free(header);
    free(token);
    return 0;
}

static void ask_metadata(struct s3_credentials *credentials)
{
    const char *role = credentials->role == NULL ? "" : credentials->role;
    char *url = text_format("%s%s%s", credentials->url,
                            credentials->auth == NULL ? "/latest/api/token" : METADATA_ROLES, role);

    if (credentials->auth == NULL)
        start(credentials, HTTP_PUT, url, "X-aws-ec2-metadata-token-ttl-seconds: 300");
    else
        start(credentials, HTTP_GET, url, credentials->auth);
    free(url);
}

static int ask(struct s3_credentials *credentials, struct err *err)
{
    if (credentials->origin == WEB_IDENTITY)
        return ask_sts(credentials, err);
    if (credentials->origin == CONTAINER)
        return ask_container(credentials, err);
    ask_metadata(credentials);
    return 0;
}

/* A fetch begins from its first question. */
static int fetch(struct s3_credentials *credentials, struct err *err)
{
    free(credentials->auth);
    free(credentials->role);
    credentials->auth = credentials->role = NULL;
    return ask(credentials, err);
}

/* The first line of a body of the metadata service: a token, a role. */
static int first_line(const char *body, const char *before, char **out, struct err *err)
{
    size_t len = strcspn(body, "\r\n");

    for (size_t i = 0; i < len; i++)
        if (body[i] <= 0x20 || body[i] >= 0x7f)
            return err_set(err, ERR_DENIED, "the instance metadata is not as it should be");
    *out = text_format("%s%.*s", before, (int)len, body);
    return 0;
}

static int check_status(const struct http_answer *answer, struct err *err)
{
    struct s3_error error;

    if (answer->err.kind != ERR_NONE)
        return err_set(err, answer->err.kind, "%s", answer->err.text);
    if (answer->status == 429 || answer->status >= 500)
        return err_set(err, ERR_UNREACHABLE, "HTTP %d", answer->status);
    if (answer->status == 200 && answer->body != NULL)
        return 0;
    s3_xml_error(answer->body, answer->body_bytes, &error);
    return err_set(err, ERR_DENIED, "HTTP %d %s %s", answer->status, error.code, error.message);
}

/* 1: keys are there; 0: another question was asked; -1. */
static int take_answer(struct s3_credentials *credentials, const struct http_answer *answer,
                       struct err *err)
{
    int rc = check_status(answer, err);

    if (rc < 0)
        return -1;
    if (credentials->origin == WEB_IDENTITY)
        rc = s3_keys_from_xml(answer->body, answer->body_bytes, &credentials->keys, err);
    else if (credentials->origin == CONTAINER || credentials->role != NULL)
        rc = s3_keys_from_json(answer->body, answer->body_bytes, &credentials->keys, err);
    else if (credentials->auth == NULL)
        rc = first_line(answer->body, "X-aws-ec2-metadata-token: ", &credentials->auth, err) < 0
                 ? -1
                 : ask(credentials, err);
    else
        rc = first_line(answer->body, "", &credentials->role, err) < 0 ? -1 : ask(credentials, err);
    return rc < 0 ? -1 : credentials->request == NULL;
}

static void add_origin(const struct s3_credentials *credentials, struct err *err)
{
    if (credentials->origin == WEB_IDENTITY)
        err_wrap(err, "keys of role %s from %s", credentials->role_arn, credentials->url);
    else if (credentials->origin == CONTAINER)
        err_wrap(err, "keys from the container's service %s", credentials->url);
    else
        err_wrap(err, "no access_key, no AWS_ACCESS_KEY_ID, no AWS_ROLE_ARN, and no keys from the "
                      "instance metadata");
}

static void on_answer(void *arg, struct http_answer *answer)
{
    struct s3_credentials *credentials = arg;
    struct err err = ERR_INIT;

    credentials->request = NULL;
    int rc = take_answer(credentials, answer, &err);

    if (rc != 0) {
        credentials->fetch_from_ms = clock_wall_ms() + FETCH_AGAIN_MS;
        credentials->is_fresh = rc > 0;
    }
    if (rc > 0) {
        wake_all(credentials, NULL);
    } else if (rc < 0) {
        add_origin(credentials, &err);
        wake_all(credentials, &err);
    }
}

/* --- keys for a call --- */

/* Keys that just came are used whatever their end: this machine's clock may be wrong, and asking
 * again would bring the same. */
static bool is_usable(const struct s3_credentials *credentials, int64_t left_ms, int64_t now_ms)
{
    return credentials->keys.access_key != NULL &&
           (left_ms >= USABLE_BEFORE_MS ||
            (credentials->is_fresh && now_ms < credentials->fetch_from_ms));
}

enum step s3_credentials_get(struct s3_credentials *credentials, const struct s3_keys **keys,
                             struct s3_waiter *waiter, struct err *err)
{
    const struct s3_keys *have = &credentials->keys;
    int64_t now_ms = clock_wall_ms();
    int64_t left_ms = have->access_key == NULL ? 0
                      : have->expires_ms == 0  ? INT64_MAX
                                               : have->expires_ms - now_ms;
    bool usable = is_usable(credentials, left_ms, now_ms);

    if (left_ms < FETCH_BEFORE_MS && credentials->request == NULL &&
        (!usable || now_ms >= credentials->fetch_from_ms) && fetch(credentials, err) < 0) {
        add_origin(credentials, err);
        credentials->fetch_from_ms = now_ms + FETCH_AGAIN_MS;
        credentials->is_fresh = false;
        if (!usable)
            return STEP_ERROR;
        err_clear(err);
    }
    if (usable) {
        *keys = have;
        return STEP_OK;
    }
    waiter->woken = false;
    waiter->next = credentials->waiters;
    credentials->waiters = waiter;
    return STEP_AGAIN;
}

bool s3_credentials_expire(struct s3_credentials *credentials)
{
    if (credentials->origin == FIXED)
        return false;
    s3_keys_fini(&credentials->keys);
    return true;
}

/* --- finding the origin --- */

/* Over plain HTTP a token is only given to the machine itself and to the services of AWS. */
static int check_container_url(const char *url, struct err *err)
{
    static const char *const hosts[] = {"http://127.0.0.1",
                                        "http://localhost",
                                        "http://[::1]",
                                        "http://169.254.170.2",
                                        "http://169.254.170.23",
                                        "http://[fd00:ec2::23]",
                                        NULL};

    if (text_starts_with(url, "https://"))
        return 0;
    for (size_t i = 0; hosts[i] != NULL; i++)
        if (text_starts_with(url, hosts[i]) && strchr(":/", url[strlen(hosts[i])]) != NULL)
            return 0;
    return err_set(err, ERR_CONFIG,
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI: must be https, or this machine");
}

static int use_variables(struct s3_credentials *credentials, struct err *err)
{
    if (variable("AWS_SECRET_ACCESS_KEY") == NULL)
        return err_set(err, ERR_CONFIG, "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not");
    s3_keys_set(&credentials->keys, variable("AWS_ACCESS_KEY_ID"),
                variable("AWS_SECRET_ACCESS_KEY"), variable("AWS_SESSION_TOKEN"), 0);
    return 0;
}

static int use_options(struct s3_credentials *credentials, const struct s3_options *options,
                       struct err *err)
{
    if (options->secret_key == NULL)
        return err_set(err, ERR_CONFIG, "access_key is set, secret_key is not");
    s3_keys_set(&credentials->keys, options->access_key, options->secret_key,
                options->session_token, 0);
    return 0;
}

static void use_web_identity(struct s3_credentials *credentials, const char *region)
{
    const char *endpoint = variable("AWS_ENDPOINT_URL_STS");

    credentials->origin = WEB_IDENTITY;
    credentials->role_arn = mem_strdup(variable("AWS_ROLE_ARN"));
    credentials->token_file = mem_strdup(variable("AWS_WEB_IDENTITY_TOKEN_FILE"));
    credentials->url = endpoint != NULL ? mem_strdup(endpoint)
                                        : text_format("https://sts.%s.amazonaws.com%s/", region,
                                                      text_starts_with(region, "cn-") ? ".cn" : "");
}

static int use_container(struct s3_credentials *credentials, struct err *err)
{
    const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");

    credentials->origin = CONTAINER;
    credentials->token_file = file == NULL ? NULL : mem_strdup(file);
    credentials->url = full != NULL
                           ? mem_strdup(full)
                           : text_format("http://169.254.170.2%s",
                                         variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    return check_container_url(credentials->url, err);
}

static int use_metadata(struct s3_credentials *credentials, struct err *err)
{
    const char *endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *disabled = variable("AWS_EC2_METADATA_DISABLED");

    if (disabled != NULL && strcmp(disabled, "true") == 0)
        return err_set(err, ERR_CONFIG,
                       "no keys: set access_key and secret_key, or AWS_ACCESS_KEY_ID, or give the "
                       "pod a role");
    credentials->origin = METADATA;
    credentials->url = mem_strdup(endpoint == NULL ? METADATA_ENDPOINT : endpoint);
    credentials->url[strcspn(credentials->url, "\r\n")] = '\0';
    return 0;
}

int s3_credentials_new(const struct s3_options *options, const char *region, struct http *http,
                       struct s3_credentials **credentials, struct err *err)
{
    struct s3_credentials *made = mem_calloc(1, sizeof *made);
    int rc = 0;

    made->origin = FIXED;
    made->http = http;
    if (options->access_key != NULL)
        rc = use_options(made, options, err);
    else if (variable("AWS_ACCESS_KEY_ID") != NULL)
        rc = use_variables(made, err);
    else if (variable("AWS_ROLE_ARN") != NULL && variable("AWS_WEB_IDENTITY_TOKEN_FILE") != NULL)
        use_web_identity(made, region);
    else if (variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL ||
             variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL)
        rc = use_container(made, err);
    else
        rc = use_metadata(made, err);
    if (rc == 0)
        *credentials = made;
    else
        s3_credentials_free(made);
    return rc;
}

void s3_credentials_free(struct s3_credentials *credentials)
{
    if (credentials == NULL)
        return;
    http_cancel(credentials->request);
    s3_keys_fini(&credentials->keys);
    free(credentials->url);
    free(credentials->role_arn);
    free(credentials->token_file);
    free(credentials->auth);
    free(credentials->role);
    free(credentials->body);
    free(credentials);
}
