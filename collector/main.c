// SPDX-License-Identifier: Apache-2.0
// lifeboat-collector: agents on one side, Prometheus on the other, one loop.
#include "cancel.h"
#include "collector_options.h"
#include "httpd.h"
#include "hub.h"
#include "listener.h"
#include "log.h"
#include "metric.h"
#include "metrics.h"

#include <ev.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define CONFIG_PATH "/etc/lifeboat/collector.yaml"

static const char usage[] =
    "usage: lifeboat-collector [-c FILE]\n"
    "\n"
    "Takes the reports of lifeboat's agents over TLS, keeps them, and answers /metrics and\n"
    "/healthz.\n"
    "\n"
    "  -c, --config FILE  the configuration; " CONFIG_PATH " without it\n"
    "      --version      print the version\n"
    "      --help         print this\n";

struct invocation {
    const char *config_path;
    int status; /* of the program, when it is over already; -1: go on */
};

static struct invocation read_command_line(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct invocation in = {.config_path = CONFIG_PATH, .status = -1};
    int option;

    while (in.status < 0 && (option = getopt_long(argc, argv, "c:", long_options, NULL)) != -1) {
        if (option == 'c') {
            in.config_path = optarg;
        } else if (option == 'v') {
            puts("lifeboat-collector " LIFEBOAT_VERSION);
            in.status = 0;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            in.status = option == 'h' ? 0 : 2;
        }
    }
    if (in.status < 0 && optind < argc) {
        fputs(usage, stderr);
        in.status = 2;
    }
    return in;
}

/* Every agent is a descriptor, and the usual soft limit is made for programs that call select(). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void answer(void *arg, const char *path, struct httpd_answer *answer)
{
    const struct hub *hub = arg;

    if (strcmp(path, "/metrics") == 0) {
        answer->content_type = METRIC_CONTENT_TYPE;
        metrics_write(hub, &answer->body);
    } else if (strcmp(path, "/healthz") == 0) {
        answer->status = hub->writable ? 200 : 503;
        text_add(&answer->body, hub->writable ? "ok\n" : "the state cannot be written\n");
    } else {
        answer->status = 404;
        text_add(&answer->body, "there are /metrics and /healthz\n");
    }
}

static void on_cancel(struct ev_loop *loop, ev_io *io, int events)
{
    (void)io;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

/* Serves until a signal comes. */
static int serve(struct ev_loop *loop, const struct collector_options *options, struct hub *hub,
                 struct err *err)
{
    const struct tls_files files = {.ca_file = options->ca_file,
                                    .cert_file = options->cert_file,
                                    .key_file = options->key_file};
    struct listener *listener = NULL;
    struct httpd *httpd = NULL;
    ev_io cancelled;
    int rc = -1;

    if (listener_open(loop, options->listen, &files, hub, &listener, err) == 0 &&
        httpd_open(loop, options->http_listen, answer, hub, &httpd, err) == 0) {
        log_info("collector is ready", LOG_TEXT("version", LIFEBOAT_VERSION),
                 LOG_TEXT("listen", options->listen), LOG_TEXT("http", options->http_listen),
                 LOG_NUMBER("agents", hub->fleet.agent_count));
        ev_io_init(&cancelled, on_cancel, cancel_fd(), EV_READ);
        ev_io_start(loop, &cancelled);
        ev_run(loop, 0);
        ev_io_stop(loop, &cancelled);
        log_info("collector stops");
        rc = 0;
    }
    httpd_close(httpd);
    listener_close(listener);
    return rc;
}

static int run(const struct collector_options *options, struct err *err)
{
    struct ev_loop *loop;
    struct hub hub;
    int rc;

    if (hub_open(&hub, options->state_path, options->retire_after_ms, err) < 0)
        return -1;
    loop = ev_loop_new(EVFLAG_AUTO);
    rc = serve(loop, options, &hub, err);
    ev_loop_destroy(loop);
    hub_close(&hub);
    return rc;
}

int main(int argc, char **argv)
{
    struct invocation in = read_command_line(argc, argv);
    struct collector_options *options = NULL;
    struct err err = ERR_INIT;
    int rc;

    if (in.status >= 0)
        return in.status;
    setlocale(LC_CTYPE, "C.UTF-8");
    cancel_install();
    /* A file that may not grow is an error like a full disk, not the end. */
    signal(SIGXFSZ, SIG_IGN);
    raise_descriptor_limit();
    rc = collector_options_load(in.config_path, &options, &err);
    if (rc == 0) {
        log_options_apply(&options->log);
        rc = run(options, &err);
    }
    collector_options_free(options);
    if (rc == 0)
        return 0;
    log_err("lifeboat-collector failed", &err, NULL, 0);
    return err_kind_exit_status(err.kind);
}
