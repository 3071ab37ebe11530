// SPDX-License-Identifier: Apache-2.0
// Whole configuration files: what is read, and every refusal to the letter. A case is a good file
// with one line of it replaced.
#include "options.h"

#include "log.h"
#include "mem.h"
#include "text.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { TOP, POSTGRES, COMPONENT, RETENTION, STORE, S3, LINES };

/* Lines that a case may replace; the names of the enum say which. */
static const char *const base[LINES] = {
    [TOP] = "identity: {cluster: c, namespace: n, pod: db-12}",
    [POSTGRES] = "    postgres: {conninfo: host=h}",
    [COMPONENT] = "    stores: [disk]",
    [RETENTION] = "    retention: forever",
    [STORE] = "  - {name: disk, type: local, path: /backups}",
    [S3] = "  - {name: s3, type: s3, bucket: abc, region: eu-west-1}",
};

static char *compose(int line, const char *replacement)
{
    const char *lines[LINES];

    for (int i = 0; i < LINES; i++)
        lines[i] = i == line ? replacement : base[i];
    /* 1 top, 2 components, 3 orders, 4 system, 5 postgres, 6 component, 7 retention, 8 stores,
     * 9 store, 10 s3 */
    return text_format("%s\ncomponents:\n  - name: orders\n    system: postgres\n%s\n%s\n%s\n"
                       "stores:\n%s\n%s\n",
                       lines[TOP], lines[POSTGRES], lines[COMPONENT], lines[RETENTION],
                       lines[STORE], lines[S3]);
}

static int parse(const char *yaml, struct agent_options **options, struct err *err)
{
    *options = NULL;
    return agent_options_parse("a.yaml", yaml, strlen(yaml), options, err);
}

static struct agent_options *must_parse(int line, const char *replacement)
{
    struct agent_options *options = NULL;
    struct err err = ERR_INIT;
    char *yaml = compose(line, replacement);

    if (parse(yaml, &options, &err) < 0)
        fail_msg("%s", err.text);
    free(yaml);
    return options;
}

static void expect(int line, const char *replacement, enum err_kind kind, const char *expected)
{
    struct agent_options *options = NULL;
    struct err err = ERR_INIT;
    char *yaml = compose(line, replacement);

    if (parse(yaml, &options, &err) == 0)
        fail_msg("not refused: %s", replacement);
    assert_null(options);
    assert_string_equal(err.text, expected);
    assert_int_equal(err.kind, kind);
    free(yaml);
}

static void test_defaults(void **state)
{
    struct agent_options *options = must_parse(TOP, base[TOP]);
    const struct component_options *component = agent_options_component(options, "orders");
    (void)state;

    assert_string_equal(options->identity.cluster, "c");
    assert_string_equal(options->identity.namespace_, "n");
    assert_string_equal(options->identity.pod, "db-12");
    assert_string_equal(options->identity.workload, "db");
    assert_string_equal(options->state_path, "/var/lib/lifeboat/state");
    assert_int_equal(options->log.level, LOG_INFO);
    assert_int_equal(options->log.format, 0);
    assert_int_equal(options->component_count, 1);
    assert_int_equal(options->store_count, 2);
    assert_non_null(component);
    assert_null(agent_options_component(options, "other"));
    assert_int_equal(component->system, 0);
    assert_int_equal(component->run_on, RUN_ON_PRIMARY);
    assert_int_equal(component->codec, CODEC_ZSTD);
    assert_int_equal(component->level, 1);
    assert_true(component->retention.forever);
    assert_true(component->deadline_ms == 12 * 3600000LL);
    assert_true(component->stall_timeout_ms == 15 * 60000LL);
    assert_true(component->orphan_age_ms == 24 * 3600000LL);
    assert_true(component->attempts == 2);
    assert_true(component->piece_bytes == UINT64_C(64) << 30);
    assert_null(component->schedule);
    assert_string_equal(component->postgres.conninfo, "host=h");
    assert_null(component->postgres.restore_conninfo);
    assert_null(component->postgres.tools);
    assert_true(component->postgres.globals);
    assert_true(component->postgres.lock_timeout_ms == 30000);
    assert_ptr_equal(component->store, &options->stores[0]);
    assert_int_equal(component->store->type, STORE_LOCAL);
    assert_string_equal(component->store->local.path, "/backups");
    assert_int_equal(options->stores[1].type, STORE_S3);
    assert_string_equal(options->stores[1].s3.prefix, "");
    assert_null(options->stores[1].s3.endpoint);
    assert_true(options->stores[1].s3.retry_deadline_ms == 300000);
    assert_true(options->stores[1].s3.stall_timeout_ms == 60000);
    agent_options_free(options);
    agent_options_free(NULL);
}

static void test_the_example_loads(void **state)
{
    const char *source = getenv("LIFEBOAT_SOURCE");
    struct agent_options *options = NULL;
    struct err err = ERR_INIT;
    char *path = text_format("%s/docs/agent.example.yaml", source == NULL ? "." : source);
    const struct component_options *component;
    (void)state;

    setenv("PGPASSWORD_BACKUP", "pass word", 1);
    setenv("PGPASSWORD_RESTORE", "restore-pass", 1);
    setenv("REDIS_PASSWORD", "redis-pass", 1);
    setenv("S3_ACCESS_KEY", "key", 1);
    setenv("S3_SECRET_KEY", "example-secret", 1);
    if (agent_options_load(path, &options, &err) < 0)
        fail_msg("%s", err.text);
    component = agent_options_component(options, "orders-db");
    assert_non_null(component);
    assert_string_equal(component->postgres.conninfo,
                        "host=127.0.0.1 user=backup dbname=aipx password='pass word'");
    assert_true(component->retention.keep_within_ms == 30LL * 86400000);
    assert_true(component->retention.keep_last == 4);
    assert_int_equal(component->assertions.count, 1);
    assert_string_equal(component->drill_schedule, "0 4 1 * *");
    assert_true(component->objective_rto_ms == 4 * 3600000LL);
    assert_string_equal(component->store->s3.secret_key, "example-secret");
    agent_options_free(options);
    free(path);
}

static void test_identity_comes_from_the_pod(void **state)
{
    struct agent_options *options;
    char host[256];
    (void)state;

    setenv("POD_NAMESPACE", "aipx", 1);
    setenv("POD_NAME", "postgresql-0", 1);
    options = must_parse(TOP, "");
    assert_string_equal(options->identity.cluster, "default");
    assert_string_equal(options->identity.namespace_, "aipx");
    assert_string_equal(options->identity.pod, "postgresql-0");
    assert_string_equal(options->identity.workload, "postgresql");
    agent_options_free(options);
    setenv("POD_NAMESPACE", "a/b", 1);
    expect(
        TOP, "identity:\n  cluster: x", ERR_CONFIG,
        "a.yaml:1: identity.namespace: POD_NAMESPACE \"a/b\" is not a name; use 1 to 63 letters, "
        "digits, '.', '_' and '-'; or set namespace here");
    unsetenv("POD_NAMESPACE");
    unsetenv("POD_NAME");
    options = must_parse(TOP, "identity: {workload: w}");
    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_string_equal(options->identity.namespace_, "default");
    assert_string_equal(options->identity.pod, host);
    assert_string_equal(options->identity.workload, "w");
    agent_options_free(options);
}

static void test_workloads(void **state)
{
    static const struct {
        const char *pod, *workload;
    } rows[] = {{"db-0", "db"}, {"db-", "db-"}, {"db", "db"},
                {"db0", "db0"}, {"-0", "-0"},   {"7", "7"}};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *line = text_format("identity: {pod: '%s'}", rows[i].pod);
        struct agent_options *options = must_parse(TOP, line);

        assert_string_equal(options->identity.workload, rows[i].workload);
        agent_options_free(options);
        free(line);
    }
}

/* The last line: another local store, and the fallback in it. */
static char *with_fallback(const char *path)
{
    return text_format("  - {name: spare, type: local, path: %s}\n"
                       "fallback: {store: spare, max_bytes: 20GiB}",
                       path);
}

static void test_fallback(void **state)
{
    static const char *const apart[] = {"/backup", "/backups2", "/var", "/backups-spare/"};
    static const char *const meeting[] = {"/backups", "/backups/", "/backups/x", "/",
                                          "/backups//x"};
    struct agent_options *options = must_parse(TOP, base[TOP]);
    (void)state;

    assert_null(options->fallback_store);
    agent_options_free(options);
    for (size_t i = 0; i < COUNT(apart); i++) {
        char *lines = with_fallback(apart[i]);

        options = must_parse(S3, lines);
        assert_ptr_equal(options->fallback_store, &options->stores[1]);
        assert_true(options->fallback_max_bytes == UINT64_C(20) << 30);
        agent_options_free(options);
        free(lines);
    }
    for (size_t i = 0; i < COUNT(meeting); i++) {
        char *lines = with_fallback(meeting[i]);

        expect(
            S3, lines, ERR_CONFIG,
            "a.yaml:11: fallback.store: the folders of spare and of disk, the store of component "
            "orders, lie in each other; give it one of its own");
        free(lines);
    }
}

static void test_top_level_refusals(void **state)
{
    static const struct {
        const char *line;
        enum err_kind kind;
        const char *expected;
    } rows[] = {
        {"collector: {address: x}", ERR_CONFIG,
         "a.yaml:1: collector.address: \"x\" is not HOST:PORT as in \"collector:7443\", "
         "\"10.0.0.1:7443\" or \"[::1]:7443\""},
        {"collector: {address: 'x:1', allow: [backup]}", ERR_CONFIG,
         "a.yaml:1: collector.ca_file: is required: The authority that the collector's certificate "
         "must come from, as PEM. It and the next two are read again for each connection."},
        {"http:", ERR_CONFIG, "a.yaml:1: http: must be a mapping of keys to values"},
        {"http: {listen: '9464'}", ERR_CONFIG,
         "a.yaml:1: http.listen: \"9464\" is not HOST:PORT as in \"collector:7443\", "
         "\"10.0.0.1:7443\" or \"[::1]:7443\""},
        {"fallback: {store: disk}", ERR_CONFIG,
         "a.yaml:1: fallback.max_bytes: is required: What the files there may be together, at "
         "every moment. Room for two compressed backups of each component keeps a newest one while "
         "the next is made."},
        {"fallback: disk", ERR_CONFIG, "a.yaml:1: fallback: must be a mapping of keys to values"},
        {"fallback: {store: disk, max_bytes: 20GiB}", ERR_CONFIG,
         "a.yaml:1: fallback.store: disk is the store of component orders already; name one that "
         "no component uses"},
        {"fallback: {store: s3, max_bytes: 20GiB}", ERR_CONFIG,
         "a.yaml:1: fallback.store: s3 is of type s3; name a store of type local"},
        {"fallback: {store: dsk, max_bytes: 20GiB}", ERR_CONFIG,
         "a.yaml:1: fallback.store: no store is called \"dsk\"; add one of type local to stores, "
         "or correct the name"},
        {"fallback: {store: disk, max_bytes: 1kB}", ERR_CONFIG,
         "a.yaml:1: fallback.max_bytes: \"1kB\" is out of range; use 1MiB to 1024TiB"},
        {"component: []", ERR_CONFIG, "a.yaml:1: component: unknown key; did you mean components?"},
        {"zzz: 1", ERR_CONFIG,
         "a.yaml:1: zzz: unknown key; known here: identity, state, log, collector, http, "
         "components, stores, fallback"},
        {"state: {path: here}", ERR_CONFIG,
         "a.yaml:1: state.path: \"here\" is not an absolute path; begin it with /"},
        {"state: /var", ERR_CONFIG, "a.yaml:1: state: must be a mapping of keys to values"},
        {"log: {format: xml}", ERR_CONFIG,
         "a.yaml:1: log.format: \"xml\" is not known; use logfmt or json"},
        {"log: {level: trace}", ERR_CONFIG,
         "a.yaml:1: log.level: \"trace\" is not known; use debug, info, warn or error"},
        {"identity: {cluster: ..}", ERR_CONFIG,
         "a.yaml:1: identity.cluster: \"..\" is not a name; use 1 to 63 letters, digits, '.', '_' "
         "and '-'"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        expect(TOP, rows[i].line, rows[i].kind, rows[i].expected);
}

static void test_lists_are_required(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } rows[] = {
        {"log: {}", "a.yaml:1: stores: is required: a list with at least one item"},
        {"log: {}\nstores: []", "a.yaml:2: stores: must be a list with at least one item"},
        {"stores:\n  - {name: a, type: local, path: /b}",
         "a.yaml:1: components: is required: a list with at least one item"},
        {"components: {}\nstores:\n  - {name: a, type: local, path: /b}",
         "a.yaml:1: components: must be a list with at least one item"},
        {"components: [x]\nstores:\n  - {name: a, type: local, path: /b}",
         "a.yaml:1: components[0]: must be a mapping of keys to values"},
    };
    struct agent_options *options;
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(parse(rows[i].yaml, &options, &err), -1);
        assert_string_equal(err.text, rows[i].expected);
    }
}

static void test_component_refusals(void **state)
{
    static const struct {
        int line;
        const char *text;
        enum err_kind kind;
        const char *expected;
    } rows[] = {
        {COMPONENT, "    stores: [dis]", ERR_CONFIG,
         "a.yaml:6: components[0].stores[0]: no store is called \"dis\"; did you mean disk?"},
        {COMPONENT, "    stores: [elsewhere]", ERR_CONFIG,
         "a.yaml:6: components[0].stores[0]: no store is called \"elsewhere\"; there are: disk, "
         "s3"},
        {COMPONENT, "    stores: [disk, s3]", ERR_NOT_YET,
         "a.yaml:6: components[0].stores: more than one store is not in this version yet: it comes "
         "with a later version; name one for now"},
        {COMPONENT, "    stores: []", ERR_CONFIG,
         "a.yaml:6: components[0].stores: is an empty list; give at least one item"},
        {COMPONENT, "    stores: disk", ERR_CONFIG,
         "a.yaml:6: components[0].stores: must be a list; write [ITEM, ITEM]"},
        {COMPONENT, "", ERR_CONFIG,
         "a.yaml:3: components[0].stores: is required: The names of the stores to back up to; one "
         "so far."},
        {COMPONENT, "    stores: [disk]\n    run_on: each", ERR_NOT_YET,
         "a.yaml:7: components[0].run_on: \"each\" is not in this version yet; use primary, "
         "replica or "
         "one"},
        {COMPONENT, "    stores: [disk]\n    orphan_age: 12h", ERR_CONFIG,
         "a.yaml:7: components[0].orphan_age: is not more than deadline, so that objects of a job "
         "that still runs would be removed; raise it, or lower deadline"},
        {COMPONENT, "    stores: [disk]\n    deadline: 24h", ERR_CONFIG,
         "a.yaml:3: components[0].orphan_age: is not more than deadline, so that objects of a job "
         "that still runs would be removed; raise it, or lower deadline"},
        {COMPONENT, "    stores: [disk]\n    attempts: 0", ERR_CONFIG,
         "a.yaml:7: components[0].attempts: \"0\" is out of range; use 1 to 10"},
        {COMPONENT, "    stores: [disk]\n    piece_size: 1KiB", ERR_CONFIG,
         "a.yaml:7: components[0].piece_size: \"1KiB\" is out of range; use 64KiB to 64GiB"},
        {COMPONENT, "    stores: [disk]\n    full_every: 24h", ERR_CONFIG,
         "a.yaml:7: components[0].full_every: is for Kafka: every backup of postgres holds all; "
         "remove this"},
        {COMPONENT, "    stores: [disk]\n    redis: {}", ERR_CONFIG,
         "a.yaml:7: components[0].redis: belongs to system: redis, and here system is postgres; "
         "remove it, or correct system"},
        {COMPONENT, "    stores: [disk]\n    schedul: x", ERR_CONFIG,
         "a.yaml:7: components[0].schedul: unknown key; did you mean schedule?"},
        {COMPONENT, "    stores: [disk]\n    schedule: '* * * *'", ERR_CONFIG,
         "a.yaml:7: components[0].schedule: \"* * * *\" is not a schedule: it has 4 of 5 fields; "
         "write minute, hour, day, month and weekday as in \"0 3 * * 0\", or \"@every 15m\""},
        {COMPONENT, "    stores: [disk]\n    verify: {schedule: '@every 1s'}", ERR_CONFIG,
         "a.yaml:7: components[0].verify.schedule: \"@every 1s\" is too often; use 1m or more"},
        {COMPONENT, "    stores: [disk]\n    drill: {when: x}", ERR_CONFIG,
         "a.yaml:7: components[0].drill.when: unknown key; known here: schedule"},
        {COMPONENT, "    stores: [disk]\n    objective: {rpo: 0s}", ERR_CONFIG,
         "a.yaml:7: components[0].objective.rpo: \"0s\" is out of range; use 1s to 365d"},
        {RETENTION, "", ERR_CONFIG,
         "a.yaml:3: components[0].retention: is required; write {keep_within: 30d, keep_last: 4}, "
         "or forever"},
        {RETENTION, "    retention: 30d", ERR_CONFIG,
         "a.yaml:7: components[0].retention: must be forever, or like {keep_within: 30d, "
         "keep_last: "
         "4}"},
        {RETENTION, "    retention: {}", ERR_CONFIG,
         "a.yaml:7: components[0].retention: needs keep_within, keep_last, or both; or write "
         "forever"},
        {RETENTION, "    retention: {keep_last: 0}", ERR_CONFIG,
         "a.yaml:7: components[0].retention.keep_last: \"0\" is out of range; use 1 to 1000000"},
        {RETENTION, "    retention: {keep_for: 1d}", ERR_CONFIG,
         "a.yaml:7: components[0].retention.keep_for: unknown key; known here: keep_within, "
         "keep_last"},
        {RETENTION, "    retention: [forever]", ERR_CONFIG,
         "a.yaml:7: components[0].retention: must be a mapping of keys to values"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        expect(rows[i].line, rows[i].text, rows[i].kind, rows[i].expected);
}

static void test_names_are_unique(void **state)
{
    (void)state;
    expect(RETENTION,
           "    retention: forever\n  - {name: orders, system: postgres, stores: [disk], postgres: "
           "{conninfo: host=h}, retention: forever}",
           ERR_CONFIG,
           "a.yaml:8: components[1].name: orders is taken by the one on line 3; choose another");
    expect(S3, "  - {name: disk, type: local, path: /x}", ERR_CONFIG,
           "a.yaml:10: stores[1].name: disk is taken by the one on line 9; choose another");
}

static char *of_system(const char *system, const char *section)
{
    return text_format("components:\n  - name: s\n    system: %s\n    stores: [d]\n"
                       "    retention: forever\n    %s\n"
                       "stores:\n  - {name: d, type: local, path: /d}\n",
                       system, section);
}

static void expect_of_system(const char *system, const char *section, enum err_kind kind,
                             const char *expected)
{
    struct agent_options *options;
    struct err err = ERR_INIT;
    char *yaml = of_system(system, section);

    if (parse(yaml, &options, &err) == 0)
        fail_msg("not refused: %s", section);
    assert_string_equal(err.text, expected);
    assert_int_equal(err.kind, kind);
    free(yaml);
}

static struct agent_options *must_parse_system(const char *system, const char *section)
{
    struct agent_options *options = NULL;
    struct err err = ERR_INIT;
    char *yaml = of_system(system, section);

    if (parse(yaml, &options, &err) < 0)
        fail_msg("%s", err.text);
    free(yaml);
    return options;
}

static void test_redis(void **state)
{
    struct agent_options *options = must_parse_system("redis", "redis: {url: 'redis://h'}");
    const struct redis_options *redis = &options->components[0].redis;
    (void)state;

    assert_int_equal(options->components[0].system, SYSTEM_REDIS);
    assert_string_equal(redis->url, "redis://h");
    assert_null(redis->user);
    assert_null(redis->password);
    assert_int_equal(redis->method, REDIS_REPLICATION);
    assert_null(redis->rdb_path);
    assert_true(redis->timeout_ms == 30000);
    agent_options_free(options);
    options = must_parse_system("redis",
                                "redis: {url: 'rediss://[::1]:7000', user: u, password: secret, "
                                "ca_file: /ca, cert_file: /cert, key_file: /key, method: bgsave, "
                                "rdb_path: /data/dump.rdb, timeout: 5s}");
    redis = &options->components[0].redis;
    assert_string_equal(redis->user, "u");
    assert_string_equal(redis->password, "secret");
    assert_string_equal(redis->ca_file, "/ca");
    assert_string_equal(redis->cert_file, "/cert");
    assert_string_equal(redis->key_file, "/key");
    assert_int_equal(redis->method, REDIS_BGSAVE);
    assert_string_equal(redis->rdb_path, "/data/dump.rdb");
    assert_true(redis->timeout_ms == 5000);
    agent_options_free(options);
}

static void test_redis_refusals(void **state)
{
    static const struct {
        const char *section, *expected;
    } rows[] = {
        {"", "a.yaml:2: components[0].redis.url: is required: Where the server is: "
             "`redis://HOST:PORT`, `rediss://HOST:PORT` (with TLS) or `unix:///PATH`."},
        {"postgres: {conninfo: host=h}",
         "a.yaml:6: components[0].postgres: belongs to system: postgres, and here system is redis; "
         "remove it, or correct system"},
        {"redis: {url: 'redis://:geheim@h:1'}",
         "a.yaml:6: components[0].redis.url: \"redis://***@h:1\" holds a user or a password; write "
         "them as user and password_file (or password)"},
        {"redis: {url: 'rediss://u:ge/heim@h:1'}",
         "a.yaml:6: components[0].redis.url: \"rediss://***@h:1\" holds a user or a password; "
         "write them as user and password_file (or password)"},
        {"redis: {url: 'redis://h', method: bgsave}",
         "a.yaml:6: components[0].redis.method: is bgsave, which needs rdb_path: where the "
         "server's "
         "file is seen from here, like /data/dump.rdb"},
        {"redis: {url: 'redis://h', rdb_path: /data/dump.rdb}",
         "a.yaml:6: components[0].redis.rdb_path: is read with method: bgsave only; add that, or "
         "remove this"},
        {"redis: {url: 'redis://h', ca_file: /ca}",
         "a.yaml:6: components[0].redis.ca_file: is given, but url is not of TLS; write rediss:// "
         "there, or remove this"},
        {"redis: {url: 'rediss://h', cert_file: /c}",
         "a.yaml:6: components[0].redis.cert_file: is given without key_file; add it"},
        {"redis: {url: 'rediss://h', key_file: /c}",
         "a.yaml:6: components[0].redis.key_file: is given without cert_file; add it"},
        {"redis: {url: 'redis://h', user: u}",
         "a.yaml:6: components[0].redis.user: is given without password; add password_file or "
         "password"},
        {"redis: {url: 'redis://h', method: copy}",
         "a.yaml:6: components[0].redis.method: \"copy\" is not known; use replication or bgsave"},
        {"redis: {url: 'redis://h', method: bgsave, rdb_path: dump.rdb}",
         "a.yaml:6: components[0].redis.rdb_path: \"dump.rdb\" is not an absolute path; begin it "
         "with /"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        expect_of_system("redis", rows[i].section, ERR_CONFIG, rows[i].expected);
}

static void test_kafka(void **state)
{
    struct agent_options *options =
        must_parse_system("kafka", "kafka: {bootstrap: 'h:9092', topics: [orders, 're:a|b.*']}");
    const struct kafka_options *kafka = &options->components[0].kafka;
    (void)state;

    assert_int_equal(options->components[0].system, SYSTEM_KAFKA);
    assert_string_equal(kafka->bootstrap, "h:9092");
    assert_int_equal(kafka->topics.count, 2);
    assert_string_equal(kafka->topics.items[1], "re:a|b.*");
    assert_int_equal(kafka->security, KAFKA_PLAINTEXT);
    assert_null(kafka->user);
    assert_true(kafka->timeout_ms == 30000);
    assert_true(kafka->segment_bytes == UINT64_C(1) << 30);
    agent_options_free(options);
    options = must_parse_system(
        "kafka", "kafka: {bootstrap: '[::1]:1,h:2', topics: [__consumer_offsets], security: "
                 "sasl_ssl, ca_file: /ca, cert_file: /cert, key_file: /key, mechanism: plain, "
                 "user: u, password: secret, timeout: 5s, rdkafka: [a.b=c=d, e=]}");
    kafka = &options->components[0].kafka;
    assert_int_equal(kafka->security, KAFKA_SASL_SSL);
    assert_int_equal(kafka->mechanism, KAFKA_PLAIN);
    assert_string_equal(kafka->user, "u");
    assert_string_equal(kafka->password, "secret");
    assert_string_equal(kafka->ca_file, "/ca");
    assert_int_equal(kafka->rdkafka.count, 2);
    assert_string_equal(kafka->rdkafka.items[0], "a.b=c=d");
    agent_options_free(options);
}

static void test_kafka_refusals(void **state)
{
    static const struct {
        const char *section, *expected;
    } rows[] = {
        {"", "a.yaml:2: components[0].kafka.bootstrap: is required: Brokers to begin with: "
             "`HOST:PORT`, more of them after a comma."},
        {"kafka: {bootstrap: 'h:1', topics: []}",
         "a.yaml:6: components[0].kafka.topics: is an empty list; give at least one item"},
        {"kafka: {bootstrap: 'h', topics: [a]}",
         "a.yaml:6: components[0].kafka.bootstrap: \"h\" is no list of brokers; write HOST:PORT, "
         "and more of them after a comma without a blank"},
        {"kafka: {bootstrap: 'h:1', topics: [a/b]}",
         "a.yaml:6: components[0].kafka.topics[0]: \"a/b\" is no name of a topic; use letters, "
         "digits, '.', '_' and '-', or re: and a regular expression"},
        {"kafka: {bootstrap: 'h:1', topics: [..]}",
         "a.yaml:6: components[0].kafka.topics[0]: \"..\" is no name of a topic; use letters, "
         "digits, '.', '_' and '-', or re: and a regular expression"},
        {"kafka: {bootstrap: 'h:1', topics: ['re:(']}",
         "a.yaml:6: components[0].kafka.topics[0]: \"re:(\" is no extended regular expression "
         "after re:; write it as grep -E does"},
        {"kafka: {bootstrap: 'h:1', topics: [a], ca_file: /ca}",
         "a.yaml:6: components[0].kafka.ca_file: is given, but security is without TLS; write ssl "
         "or sasl_ssl there, or remove this"},
        {"kafka: {bootstrap: 'h:1', topics: [a], security: ssl, cert_file: /c}",
         "a.yaml:6: components[0].kafka.cert_file: is given without the other of cert_file and "
         "key_file; add that"},
        {"kafka: {bootstrap: 'h:1', topics: [a], security: sasl_ssl, user: u}",
         "a.yaml:6: components[0].kafka.password: is missing; security with sasl needs user and "
         "password_file (or password)"},
        {"kafka: {bootstrap: 'h:1', topics: [a], password: geheim}",
         "a.yaml:6: components[0].kafka.password: is given, but security is without sasl; write "
         "sasl_ssl or sasl_plaintext there, or remove this"},
        {"kafka: {bootstrap: 'h:1', topics: [a], mechanism: plain}",
         "a.yaml:6: components[0].kafka.mechanism: is given, but security is without sasl; remove "
         "this"},
        {"kafka: {bootstrap: 'h:1', topics: [a], rdkafka: [linger.ms]}",
         "a.yaml:6: components[0].kafka.rdkafka[0]: \"linger.ms\" is no property; write "
         "NAME=VALUE"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        expect_of_system("kafka", rows[i].section, ERR_CONFIG, rows[i].expected);
    expect_of_system("kafka", "assert: [x]", ERR_NOT_YET,
                     "a.yaml:6: components[0].assert: for Kafka is not in this version yet; remove "
                     "it");
}

static void test_redis_addresses(void **state)
{
    static const struct {
        const char *url;
        int kind;
        const char *host, *port;
    } good[] = {
        {"redis://h", REDIS_TCP, "h", "6379"},
        {"redis://h:1/", REDIS_TCP, "h", "1"},
        {"redis://10.0.0.1:7000", REDIS_TCP, "10.0.0.1", "7000"},
        {"redis://[::1]", REDIS_TCP, "::1", "6379"},
        {"rediss://[::1]:7", REDIS_TLS, "::1", "7"},
        {"rediss://redis.example.com", REDIS_TLS, "redis.example.com", "6379"},
    };
    static const char *const wrong[] = {
        "h:6379",
        "http://h",
        "redis://",
        "redis://:6379",
        "redis://h:",
        "redis://h:x",
        "redis://h:65536",
        "redis://h/0",
        "redis://h?a=b",
        "redis://h#a",
        "redis://a b",
        "redis://[::1",
        "redis://[::1]:",
        "redis://::1",
        "redis://u@h",
        "unix://run/s",
        "unix:///run/"
        "0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789",
    };
    struct redis_address address;
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(redis_address_parse(good[i].url, &address, &err), 0);
        assert_int_equal(address.kind, good[i].kind);
        assert_string_equal(address.host, good[i].host);
        assert_string_equal(address.port, good[i].port);
    }
    assert_int_equal(redis_address_parse("unix:///run/a@b.sock", &address, &err), 0);
    assert_int_equal(address.kind, REDIS_UNIX);
    assert_string_equal(address.path, "/run/a@b.sock");
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (redis_address_parse(wrong[i], &address, &err) == 0)
            fail_msg("not refused: %s", wrong[i]);
}

static void test_codecs(void **state)
{
    static const struct {
        const char *text;
        enum codec codec;
        int level;
    } good[] = {
        {"none", CODEC_NONE, 0},   {"zstd", CODEC_ZSTD, 1}, {"zstd:1", CODEC_ZSTD, 1},
        {"zstd:2", CODEC_ZSTD, 2}, {"gzip", CODEC_GZIP, 6}, {"gzip:1", CODEC_GZIP, 1},
        {"gzip:9", CODEC_GZIP, 9},
    };
    static const struct {
        const char *text, *expected;
    } wrong[] = {
        {"zstd:0", "is no level of zstd; use zstd:1 or zstd:2"},
        {"zstd:3", "would take more than the 64 MiB of memory that a job may have; use zstd:1 or "
                   "zstd:2"},
        {"zstd:18446744073709551615", "would take more than the 64 MiB of memory that a job may "
                                      "have; use zstd:1 or zstd:2"},
        {"gzip:0", "is no level of gzip; use gzip:1 to gzip:9"},
        {"gzip:10", "is no level of gzip; use gzip:1 to gzip:9"},
        {"zstd:", "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none"},
        {"zstd:-1", "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none"},
        {"zstdx", "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none"},
        {"lz4", "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none"},
        {"none:1", "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none"},
        {"", "is not known; use auto, zstd:1, zstd:2, gzip:1 to gzip:9, or none"},
    };
    enum codec codec;
    int level;
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(codec_parse(good[i].text, &codec, &level, &err), 0);
        assert_int_equal(codec, good[i].codec);
        assert_int_equal(level, good[i].level);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(codec_parse(wrong[i].text, &codec, &level, &err), -1);
        assert_string_equal(err.text, wrong[i].expected);
    }
    expect(
        COMPONENT, "    stores: [disk]\n    compress: zstd:19", ERR_CONFIG,
        "a.yaml:7: components[0].compress: \"zstd:19\" would take more than the 64 MiB of memory "
        "that a job may have; use zstd:1 or zstd:2");
}

static void test_local_store_refusals(void **state)
{
    (void)state;
    expect(STORE, "  - {name: disk, type: gcs, bucket: b}", ERR_NOT_YET,
           "a.yaml:9: stores[0].type: \"gcs\" is not in this version yet; use local or s3");
    expect(STORE, "  - {name: disk, type: tape}", ERR_CONFIG,
           "a.yaml:9: stores[0].type: \"tape\" is not known; use local or s3");
    expect(STORE, "  - {name: disk, path: /x}", ERR_CONFIG,
           "a.yaml:9: stores[0].type: is required; use local or s3");
    expect(STORE, "  - {name: disk, type: local}", ERR_CONFIG,
           "a.yaml:9: stores[0].path: is required: The folder to keep backups in; absolute. It is "
           "made when it is not there.");
    expect(STORE, "  - {name: disk, type: local, path: backups}", ERR_CONFIG,
           "a.yaml:9: stores[0].path: \"backups\" is not an absolute path; begin it with /");
    expect(STORE, "  - {name: disk, type: local, path: /x, bucket: y}", ERR_CONFIG,
           "a.yaml:9: stores[0].bucket: unknown key; known here: path, name, type");
    expect(STORE, "  - {name: 'a b', type: local, path: /x}", ERR_CONFIG,
           "a.yaml:9: stores[0].name: \"a b\" is not a name; use 1 to 63 letters, digits, '.', '_' "
           "and '-'");
}

/* One key of the S3 store beside the least there must be. */
static void expect_s3(const char *extra, const char *key, const char *expected)
{
    char *line = text_format("  - {name: s3, type: s3, %s}", extra);
    char *full = text_format("a.yaml:10: stores[1].%s: %s", key, expected);

    expect(S3, line, ERR_CONFIG, full);
    free(line);
    free(full);
}

static void test_s3_refusals(void **state)
{
    static const char *const buckets[] = {"ab",   "Abc",  "a_b",        "-abc",
                                          "abc.", "a..b", "192.168.1.1"};
    static const char *const prefixes[] = {"/a", "a/", "a//b", "/"};
    static const char *const endpoints[] = {"s3.example.com",  "ftp://h",      "http://",
                                            "http://h/path",   "http://h?x=y", "https://h/",
                                            "http://[::1]x:1", "http://a b"};
    (void)state;

    for (size_t i = 0; i < COUNT(buckets); i++) {
        char *extra = text_format("bucket: '%s', region: r", buckets[i]);
        char *expected =
            text_format("\"%s\" is not a bucket's name; use 3 to 63 lower-case letters, "
                        "digits, '-' and '.', with a letter or digit at both ends",
                        buckets[i]);

        expect_s3(extra, "bucket", expected);
        free(extra);
        free(expected);
    }
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        char *extra = text_format("bucket: abc, region: r, prefix: '%s'", prefixes[i]);
        char *expected = text_format("\"%s\" has a slash too many; write it like prod or prod/eu, "
                                     "without a slash at either end",
                                     prefixes[i]);

        expect_s3(extra, "prefix", expected);
        free(extra);
        free(expected);
    }
    for (size_t i = 0; i < COUNT(endpoints); i++) {
        char *extra = text_format("bucket: abc, endpoint: '%s'", endpoints[i]);
        char *expected = text_format("\"%s\" is not an endpoint; write it like "
                                     "https://s3.example.com:9000, without a path",
                                     endpoints[i]);

        expect_s3(extra, "endpoint", expected);
        free(extra);
        free(expected);
    }
    expect_s3("bucket: abc, region: r, prefix: a/../b", "prefix",
              "\"a/../b\" goes through . or ..; write it like prod/eu");
    expect_s3("bucket: abc, region: r, prefix: \"a\\tb\"", "prefix",
              "\"a?b\" holds a control character; use printable text");
    expect_s3("bucket: abc, endpoint: 'http://h:0'", "endpoint",
              "\"http://h:0\" has no good port; use 1 to 65535");
    expect_s3("bucket: abc, endpoint: 'http://h:70000'", "endpoint",
              "\"http://h:70000\" has no good port; use 1 to 65535");
    expect_s3("bucket: abc, endpoint: 'http://user:secret@h'", "endpoint",
              "\"http://***@h\" holds a user or password; put them in access_key and secret_key");
    expect_s3("bucket: abc", "region",
              "is required unless endpoint is given; write it like eu-west-1");
    expect_s3("bucket: abc, region: 'a/b'", "region",
              "\"a/b\" is not a region; write it like "
              "eu-west-1");
    expect_s3("bucket: abc, region: r, access_key: k", "access_key",
              "is given without secret_key; add secret_key or secret_key_file");
    expect_s3("bucket: abc, region: r, secret_key: kkkk", "access_key",
              "is missing, but secret_key is given; add it");
    expect_s3("bucket: abc, region: r, session_token: kkkk", "access_key",
              "is missing, but session_token is given; add it and secret_key");
    expect_s3("bucket: abc, region: r, access_key: k, secret_key: '${OT_NONE}'", "secret_key",
              "environment variable OT_NONE is not set; export it, or use secret_key_file");
    expect_s3("bucket: abc, region: r, retry_deadline: 0s", "retry_deadline",
              "\"0s\" is out of range; use 1s to 1d");
    expect_s3("bucket: abc, region: r, buket: x", "buket", "unknown key; did you mean bucket?");
}

static void test_s3_is_read(void **state)
{
    struct agent_options *options =
        must_parse(S3, "  - {name: s3, type: s3, bucket: a-b.c, prefix: prod/eu, endpoint: "
                       "'http://[::1]:9000', path_style: true, access_key: k, secret_key: "
                       "s3-secret-text, session_token: s3-token-text, ca_file: /ca.pem}");
    const struct s3_options *s3 = &options->stores[1].s3;
    char masked[] = "s3-secret-text s3-token-text";
    (void)state;

    assert_string_equal(s3->bucket, "a-b.c");
    assert_string_equal(s3->prefix, "prod/eu");
    assert_string_equal(s3->region, "us-east-1");
    assert_string_equal(s3->endpoint, "http://[::1]:9000");
    assert_true(s3->path_style);
    assert_string_equal(s3->access_key, "k");
    assert_string_equal(s3->secret_key, "s3-secret-text");
    assert_string_equal(s3->session_token, "s3-token-text");
    assert_string_equal(s3->ca_file, "/ca.pem");
    log_mask(masked);
    assert_string_equal(masked, "*** ***");
    agent_options_free(options);
    options = must_parse(S3, "  - {name: s3, type: s3, bucket: abc, region: eu-west-1, endpoint: "
                             "\"\", prefix: \"\"}");
    assert_null(options->stores[1].s3.endpoint);
    assert_string_equal(options->stores[1].s3.prefix, "");
    agent_options_free(options);
}

/* Every form of a password in a connection string is hidden, and nothing else of it is. */
static void test_passwords_in_connection_strings_are_hidden(void **state)
{
    static const struct {
        const char *conninfo, *text, *masked;
    } rows[] = {
        {"host=h password=pw-plain-1 user=u", "h pw-plain-1 u", "h *** u"},
        {"password = pw-plain-2", "pw-plain-2", "***"},
        {"password='pw quoted 3' user=uuuu", "pw quoted 3 uuuu", "*** uuuu"},
        {"password='pw\\'quo\\\\ted4'", "pw'quo\\ted4 'pw\\'quo\\\\ted4'", "*** ***"},
        {"password=pw\\ esc\\\\aped5", "pw esc\\aped5 pw\\ esc\\\\aped5", "*** ***"},
        {"sslpassword=ssl-pw-6 sslkey=/key", "ssl-pw-6 /key", "*** /key"},
        {"postgresql://user:uri-pw-7@hosthost/db", "user uri-pw-7 hosthost", "user *** hosthost"},
        {"postgres://user:uri%2Dpw%408@hosthost", "uri%2Dpw%408 uri-pw@8", "*** ***"},
        {"postgresql:///db?host=hosthost&password=uri%209-pw&user=uuuu", "uri%209-pw uri 9-pw uuuu",
         "*** *** uuuu"},
        {"postgresql://hosthost:5432,h2:5433/dbname?sslpassword=query-pw-10",
         "hosthost:5432 query-pw-10", "hosthost:5432 ***"},
        {"postgresql://user:@hosthost/db", "user hosthost", "user hosthost"},
        {"", "", ""},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = ERR_INIT;
        char *text = mem_strdup(rows[i].text);

        postgres_option_rows[0].hide(rows[i].conninfo);
        assert_int_equal(postgres_option_rows[0].check(rows[i].conninfo, &err), 0);
        log_mask(text);
        assert_string_equal(text, rows[i].masked);
        free(text);
    }
}

static void test_connection_strings_that_are_wrong(void **state)
{
    static const struct {
        const char *conninfo, *expected;
    } rows[] = {
        {"aipx-marker", "is not a connection string; write \"host=... user=... dbname=...\" or "
                        "postgresql://USER@HOST/DATABASE"},
        {"=marker", "is not a connection string; write \"host=... user=... dbname=...\" or "
                    "postgresql://USER@HOST/DATABASE"},
        {"host=h password='marker", "has a quote that is not closed; end it with '"},
        {"password='marker\\", "has a quote that is not closed; end it with '"},
        {"postgresql://u:marker%4@h", "has a % that begins no encoded byte; write %25 for a plain "
                                      "one"},
        {"postgresql://u:marker%00@h", "has a % that begins no encoded byte; write %25 for a plain "
                                       "one"},
        {"postgresql://u:marker%@h", "has a % that begins no encoded byte; write %25 for a plain "
                                     "one"},
        {"postgresql://u:mar@ker@h/db", "has an @ or / that is not encoded; in user and password "
                                        "write @ as %40 and / as %2F"},
        {"postgresql://u:mar/ker@h/db", "has an @ or / that is not encoded; in user and password "
                                        "write @ as %40 and / as %2F"},
        {"postgresql://h/db?password=marker%zz", "has a % that begins no encoded byte; write %25 "
                                                 "for a plain one"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *expected = text_format("a.yaml:5: components[0].postgres.conninfo: the value %s",
                                     rows[i].expected);

        setenv("OT_CONNINFO", rows[i].conninfo, 1);
        expect(POSTGRES, "    postgres: {conninfo: '${OT_CONNINFO}'}", ERR_CONFIG, expected);
        free(expected);
    }
}

static void test_postgres_refusals(void **state)
{
    (void)state;
    expect(
        POSTGRES, "", ERR_CONFIG,
        "a.yaml:3: components[0].postgres.conninfo: is required: How backups reach the database: "
        "a connection string or URI of libpq.");
    expect(POSTGRES, "    postgres: {conninfo: 'password=${OT_NONE}'}", ERR_CONFIG,
           "a.yaml:5: components[0].postgres.conninfo: environment variable OT_NONE is not set; "
           "export it, or use conninfo_file");
    expect(POSTGRES, "    postgres: {conninfo_file: /nonexistent/conninfo}", ERR_CONFIG,
           "a.yaml:5: components[0].postgres.conninfo_file: read /nonexistent/conninfo: open: No "
           "such file or directory; mount the secret there, or correct the path");
    expect(POSTGRES, "    postgres: {conninfo: host=h, tools: bin}", ERR_CONFIG,
           "a.yaml:5: components[0].postgres.tools: \"bin\" is not an absolute path; begin it with "
           "/");
    expect(POSTGRES, "    postgres: {conninfo: host=h, globals: yes}", ERR_CONFIG,
           "a.yaml:5: components[0].postgres.globals: \"yes\" is neither true nor false");
    expect(
        POSTGRES, "    postgres: {conninfo: host=h, lock_timeout: 0s}", ERR_CONFIG,
        "a.yaml:5: components[0].postgres.lock_timeout: \"0s\" is out of range; use 100ms to 1d");
}

static void test_the_reference_shows_no_hidden_row(void **state)
{
    struct text page = TEXT_INIT;
    (void)state;

    agent_options_describe(&page);
    assert_null(strstr(page.data, "piece_size"));
    assert_non_null(strstr(page.data, "| `conninfo` or `conninfo_file` | text | required |"));
    text_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_the_example_loads),
        cmocka_unit_test(test_identity_comes_from_the_pod),
        cmocka_unit_test(test_workloads),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_top_level_refusals),
        cmocka_unit_test(test_lists_are_required),
        cmocka_unit_test(test_component_refusals),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_redis),
        cmocka_unit_test(test_redis_refusals),
        cmocka_unit_test(test_redis_addresses),
        cmocka_unit_test(test_kafka),
        cmocka_unit_test(test_kafka_refusals),
        cmocka_unit_test(test_codecs),
        cmocka_unit_test(test_local_store_refusals),
        cmocka_unit_test(test_s3_refusals),
        cmocka_unit_test(test_s3_is_read),
        cmocka_unit_test(test_passwords_in_connection_strings_are_hidden),
        cmocka_unit_test(test_connection_strings_that_are_wrong),
        cmocka_unit_test(test_postgres_refusals),
        cmocka_unit_test(test_the_reference_shows_no_hidden_row),
    };

    unsetenv("OT_NONE");
    unsetenv("POD_NAME");
    unsetenv("POD_NAMESPACE");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
