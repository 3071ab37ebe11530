// SPDX-License-Identifier: Apache-2.0
// libcurl's multi interface on libev. libcurl says which sockets and which one timer it wants
// watched (on_socket, on_timer); each event goes back through curl_multi_socket_action, and after
// each the finished transfers are collected and handed to their owners. So done callbacks run on
// the loop only, outside of any libcurl callback, where starting and ending transfers is legal.
//
// libcurl tells its timer only when it changes. A watcher that fires a little early (the loop's
// clock is cached) would then never be set again, so on_timeout asks for the time that is left.
#include "http.h"

#include "cancel.h"
#include "mem.h"
#include "text.h"

#include <curl/curl.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MS 10000
#define RECEIVE_BYTES      (128L * 1024)
#define SEND_BYTES         (256L * 1024)
#define HEADERS_MAX_BYTES  (256L * 1024) /* libcurl bounds a line, not their number */
#define IDLE_CONNECTIONS   4L

struct http {
    struct ev_loop *loop;
    CURLM *multi;
    ev_timer timer;
    char *ca_file;
    long stall_timeout_s;
};

struct socket_watch {
    ev_io io;
    struct http *http;
};

struct http_request {
    struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    const uint8_t *body;
    size_t body_bytes, body_sent;
    size_t answer_max_bytes;
    size_t header_bytes;
    http_data_fn *on_data;
    http_done_fn *done;
    void *arg;
    bool has_headers; /* the answer holds status and headers */
    bool too_long;    /* an answer or its headers went over the bound */
    struct text body_text;
    struct http_answer answer;
    char message[CURL_ERROR_SIZE];
};

/* --- what came --- */

static void copy_header(CURL *easy, const char *name, char *out, size_t cap)
{
    struct curl_header *header = NULL;

    out[0] = '\0';
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return;
    if (strlen(header->value) < cap)
        memcpy(out, header->value, strlen(header->value) + 1);
}

static void read_headers(struct http_request *request)
{
    struct http_answer *answer = &request->answer;
    CURL *easy = request->easy;
    curl_off_t bytes = -1, wait_s = 0;
    long status = 0;

    if (request->has_headers)
        return;
    request->has_headers = true;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait_s);
    answer->status = (int)status;
    answer->content_bytes = (int64_t)bytes;
    /* A day is as good as for ever, and cannot overflow. */
    answer->retry_after_ms = wait_s <= 0 ? 0 : wait_s > 86400 ? 86400000 : (int64_t)wait_s * 1000;
    copy_header(easy, "ETag", answer->etag, sizeof answer->etag);
    copy_header(easy, "Date", answer->date, sizeof answer->date);
    copy_header(easy, "Last-Modified", answer->last_modified, sizeof answer->last_modified);
    copy_header(easy, "Content-Range", answer->content_range, sizeof answer->content_range);
    copy_header(easy, "x-amz-request-id", answer->request_id, sizeof answer->request_id);
    copy_header(easy, "x-amz-bucket-region", answer->bucket_region, sizeof answer->bucket_region);
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_request *request = arg;

    (void)data;
    request->header_bytes += size * count;
    request->too_long = request->header_bytes > HEADERS_MAX_BYTES;
    return request->too_long ? 0 : size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_request *request = arg;
    size_t len = size * count;

    read_headers(request);
    if (request->on_data != NULL && request->answer.status / 100 == 2)
        return request->on_data(request->arg, &request->answer, (const uint8_t *)data, len)
                   ? len
                   : CURL_WRITEFUNC_PAUSE;
    if (len > request->answer_max_bytes - request->body_text.len) {
        request->too_long = true;
        return 0;
    }
    text_add_bytes(&request->body_text, data, len);
    return len;
}

/* --- what goes --- */

static size_t on_send(char *data, size_t size, size_t count, void *arg)
{
    struct http_request *request = arg;
    size_t len = request->body_bytes - request->body_sent;

    if (len > size * count)
        len = size * count;
    if (len > 0)
        memcpy(data, request->body + request->body_sent, len);
    request->body_sent += len;
    return len;
}

/* A kept connection can turn out dead after the first bytes were put into it. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_request *request = arg;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > request->body_bytes)
        return CURL_SEEKFUNC_FAIL;
    request->body_sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* --- the end of a request --- */

static void request_free(struct http_request *request)
{
    curl_multi_remove_handle(request->http->multi, request->easy);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    text_fini(&request->body_text);
    free(request->answer.body);
    free(request);
}

static void judge(struct http_request *request, CURLcode code)
{
    struct err *err = &request->answer.err;
    const char *why = request->message[0] != '\0' ? request->message : curl_easy_strerror(code);

    switch (code) {
    case CURLE_OK:
        return;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
        request->answer.broken = true;
        err_set(err, ERR_UNREACHABLE, "%s", why);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(err, ERR_UNREACHABLE, "the server's certificate is not trusted: %s (ca_file: %s)",
                why, request->http->ca_file == NULL ? "the system's" : request->http->ca_file);
        return;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
        err_set(err, ERR_CONFIG, "%s", why);
        return;
    case CURLE_WRITE_ERROR:
        err_set(err, ERR_STORE, "%s",
                request->too_long ? "the answer is longer than any honest one" : why);
        return;
    default:
        err_set(err, ERR_STORE, "%s", why);
    }
}

static void finish(struct http_request *request, CURLcode code)
{
    read_headers(request);
    judge(request, code);
    request->answer.body_bytes = request->body_text.len;
    if (request->body_text.len > 0)
        request->answer.body = text_take(&request->body_text);
    request->done(request->arg, &request->answer);
    request_free(request);
}

/* --- libcurl and libev --- */

static void collect(struct http *http)
{
    CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct http_request *request = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
        finish(request, message->data.result);
    }
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;

    (void)multi;
    ev_timer_stop(http->loop, &http->timer);
    if (timeout_ms < 0)
        return 0;
    ev_now_update(http->loop);
    ev_timer_set(&http->timer, (double)timeout_ms / 1000, 0);
    ev_timer_start(http->loop, &http->timer);
    return 0;
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct http *http = timer->data;
    long left_ms = -1;
    int running = 0;

    (void)loop;
    (void)events;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
    if (!ev_is_active(timer) && curl_multi_timeout(http->multi, &left_ms) == CURLM_OK &&
        left_ms >= 0)
        on_timer(http->multi, left_ms > 0 ? left_ms : 1, http);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct http *http = ((struct socket_watch *)io->data)->http;
    int mask =
        (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0);
    int running = 0;

    (void)loop;
    /* The watch may be freed in here. */
    curl_multi_socket_action(http->multi, io->fd, mask, &running);
    collect(http);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *old)
{
    struct http *http = arg;
    struct socket_watch *watch = old;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            ev_io_stop(http->loop, &watch->io);
            curl_multi_assign(http->multi, fd, NULL);
            free(watch);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = mem_calloc(1, sizeof *watch);
        watch->http = http;
        ev_init(&watch->io, on_io);
        watch->io.data = watch;
        curl_multi_assign(http->multi, fd, watch);
    }
    ev_io_stop(http->loop, &watch->io);
    ev_io_set(&watch->io, fd,
              (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    ev_io_start(http->loop, &watch->io);
    return 0;
}

struct http *http_new(struct ev_loop *loop, const struct http_options *options)
{
    struct http *http = mem_calloc(1, sizeof *http);

    curl_global_init(CURL_GLOBAL_DEFAULT);
    http->loop = loop;
    http->ca_file = options->ca_file == NULL ? NULL : mem_strdup(options->ca_file);
    http->stall_timeout_s = (long)((options->stall_timeout_ms + 999) / 1000);
    ev_init(&http->timer, on_timeout);
    http->timer.data = http;
    http->multi = curl_multi_init();
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_multi_cleanup(http->multi);
    ev_timer_stop(http->loop, &http->timer);
    curl_global_cleanup();
    free(http->ca_file);
    free(http);
}

/* --- starting a request --- */

static void set_connection(const struct http *http, CURL *easy, const struct http_ask *ask)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (http->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (ask->direct)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BYTES);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, ask->fresh ? 1L : 0L);
    curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(ask->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : ask->connect_timeout_ms));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ask->total_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, ask->patient ? 0L : http->stall_timeout_s);
}

static void set_method(CURL *easy, const struct http_ask *ask)
{
    switch (ask->method) {
    case HTTP_GET:
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        break;
    case HTTP_HEAD:
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        break;
    case HTTP_PUT:
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)ask->body_bytes);
        break;
    case HTTP_POST:
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body_bytes);
        break;
    case HTTP_DELETE:
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    }
}

static void set_callbacks(struct http_request *request)
{
    CURL *easy = request->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->message);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, request);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, request);
}

struct http_request *http_start(struct http *http, const struct http_ask *ask)
{
    struct http_request *request = mem_calloc(1, sizeof *request);

    request->http = http;
    request->body = ask->body;
    request->body_bytes = ask->body_bytes;
    request->answer_max_bytes = ask->answer_max_bytes;
    request->on_data = ask->on_data;
    request->done = ask->done;
    request->arg = ask->arg;
    request->answer.content_bytes = -1;
    request->easy = curl_easy_init();
    for (size_t i = 0; ask->headers != NULL && ask->headers[i] != NULL; i++)
        request->headers = curl_slist_append(request->headers, ask->headers[i]);
    set_connection(http, request->easy, ask);
    set_method(request->easy, ask);
    set_callbacks(request);
    curl_easy_setopt(request->easy, CURLOPT_URL, ask->url);
    curl_easy_setopt(request->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "lifeboat/" LIFEBOAT_VERSION);
    if (ask->signer != NULL) {
        curl_easy_setopt(request->easy, CURLOPT_AWS_SIGV4, ask->signer->scope);
        curl_easy_setopt(request->easy, CURLOPT_USERNAME, ask->signer->access_key);
        curl_easy_setopt(request->easy, CURLOPT_PASSWORD, ask->signer->secret_key);
    }
    curl_multi_add_handle(http->multi, request->easy);
    return request;
}

void http_cancel(struct http_request *request)
{
    if (request != NULL)
        request_free(request);
}

void http_resume(struct http_request *request)
{
    curl_easy_pause(request->easy, CURLPAUSE_CONT);
}

/* --- waiting --- */

struct wait {
    ev_io cancel;
    ev_timer timer;
    bool cancelled, timed_out;
};

static void on_cancel(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    ((struct wait *)io->data)->cancelled = true;
}

static void on_wait_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    ((struct wait *)timer->data)->timed_out = true;
}

int http_run(struct http *http, const bool *done, int64_t timeout_ms, bool despite_cancel,
             struct err *err)
{
    struct wait wait = {.cancelled = !despite_cancel && cancel_requested()};

    ev_init(&wait.cancel, on_cancel);
    ev_init(&wait.timer, on_wait_over);
    wait.cancel.data = wait.timer.data = &wait;
    if (!despite_cancel && cancel_fd() >= 0) {
        ev_io_set(&wait.cancel, cancel_fd(), EV_READ);
        ev_io_start(http->loop, &wait.cancel);
    }
    if (timeout_ms > 0) {
        ev_now_update(http->loop);
        ev_timer_set(&wait.timer, (double)timeout_ms / 1000, 0);
        ev_timer_start(http->loop, &wait.timer);
    }
    while (!*done && !wait.cancelled && !wait.timed_out)
        ev_run(http->loop, EVRUN_ONCE);
    ev_io_stop(http->loop, &wait.cancel);
    ev_timer_stop(http->loop, &wait.timer);
    if (*done)
        return 0;
    return wait.cancelled ? cancel_check(err) : err_set(err, ERR_TIMEOUT, "no answer in time");
}
