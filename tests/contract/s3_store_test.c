// SPDX-License-Identifier: Apache-2.0
// The store contract over a real S3 server: the versitygw that LIFEBOAT_VERSITYGW names, or the one
// that tests/parts/install.sh made. Without one it says so and is skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_contract.h"

#include "s3.h"
#include "store_options.h"
#include "text.h"

#include <arpa/inet.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACCESS_KEY "contract-access"
#define SECRET_KEY "contract-secret-key"

enum { START_TRIES = 500, START_WAIT_US = 20000 };

struct server {
    char folder[64];
    int port;
    pid_t pid;
};

/* "" when there is none. */
static void find_program(char *path, size_t cap)
{
    const char *given = getenv("LIFEBOAT_VERSITYGW");
    const char *root = getenv("LIFEBOAT_SOURCE");
    char *command = text_format("%s/tests/parts/install.sh --env | sed -n 's/^VERSITYGW=//p'",
                                root == NULL ? "." : root);
    FILE *pipe = given == NULL ? popen(command, "r") : NULL;

    path[0] = '\0';
    if (given != NULL)
        snprintf(path, cap, "%s", given);
    else if (pipe != NULL && fgets(path, (int)cap, pipe) != NULL)
        path[strcspn(path, "\n")] = '\0';
    if (pipe != NULL)
        pclose(pipe);
    if (access(path, X_OK) != 0)
        path[0] = '\0';
    free(command);
}

static int open_socket(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (port != 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    if (port == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        abort();
    return fd;
}

static int free_port(void)
{
    int fd = open_socket(0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;

    getsockname(fd, (struct sockaddr *)&address, &len);
    close(fd);
    return ntohs(address.sin_port);
}

static bool wait_until_up(const struct server *server)
{
    for (int i = 0; i < START_TRIES && waitpid(server->pid, NULL, WNOHANG) == 0; i++) {
        int fd = open_socket(server->port);

        if (fd >= 0) {
            close(fd);
            return true;
        }
        usleep(START_WAIT_US);
    }
    return false;
}

/* A folder of the root is a bucket; what a tmpfs cannot keep as attributes lies beside it. */
static bool server_start(struct server *server, const char *program)
{
    char root[128], side[128], bucket[160], address[32];

    snprintf(server->folder, sizeof server->folder, "/tmp/lifeboat-s3-XXXXXX");
    if (mkdtemp(server->folder) == NULL)
        return false;
    snprintf(root, sizeof root, "%s/root", server->folder);
    snprintf(side, sizeof side, "%s/side", server->folder);
    snprintf(bucket, sizeof bucket, "%s/backups", root);
    server->port = free_port();
    snprintf(address, sizeof address, "127.0.0.1:%d", server->port);
    if (mkdir(root, 0700) < 0 || mkdir(side, 0700) < 0 || mkdir(bucket, 0700) < 0)
        return false;
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves nothing running */
        execl(program, program, "--quiet", "--keep-alive", "--port", address, "--access",
              ACCESS_KEY, "--secret", SECRET_KEY, "posix", "--sidecar", side, root, (char *)NULL);
        _exit(127);
    }
    return wait_until_up(server);
}

static void server_stop(const struct server *server)
{
    char *command = text_format("rm -rf '%s'", server->folder);

    if (server->pid > 0 && kill(server->pid, SIGKILL) == 0)
        waitpid(server->pid, NULL, 0);
    if (text_starts_with(server->folder, "/tmp/lifeboat-s3-") && system(command) != 0)
        fprintf(stderr, "%s is left\n", server->folder);
    free(command);
}

static int run_on(const struct server *server, const char *name, const char *prefix)
{
    char endpoint[64];
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct store_options options = {.name = (char *)name,
                                    .type = STORE_S3,
                                    .s3 = {.bucket = "backups",
                                           .prefix = (char *)prefix,
                                           .region = "us-east-1",
                                           .endpoint = endpoint,
                                           .path_style = true,
                                           .access_key = ACCESS_KEY,
                                           .secret_key = SECRET_KEY,
                                           .retry_deadline_ms = 5000,
                                           .stall_timeout_ms = 5000}};
    struct store_contract contract = {
        .name = name, .loop = loop, .part_bytes = (size_t)8 << 20, .shows_uploads = true};
    struct err err = ERR_INIT;
    int failed = 1;

    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", server->port);
    if (store_open(&options, loop, &contract.store, &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    else
        failed = store_contract_run(&contract);
    store_close(contract.store);
    ev_loop_destroy(loop);
    return failed;
}

static void test_needs_versitygw(void **state)
{
    (void)state;
    printf("skipped: no versitygw; tests/parts/install.sh makes it\n");
    skip();
}

int main(void)
{
    char program[512];
    struct server server = {.pid = -1};
    int failed = 1;

    find_program(program, sizeof program);
    if (program[0] == '\0') {
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_needs_versitygw)};

        return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    if (server_start(&server, program))
        failed = run_on(&server, "s3", "prod/eu") + run_on(&server, "s3 without a prefix", "");
    else
        fprintf(stderr, "%s did not start\n", program);
    server_stop(&server);
    return failed;
}
