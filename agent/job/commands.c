// SPDX-License-Identifier: Apache-2.0
// The table of commands, its help, and the command line.
#include "commands.h"

#include "log.h"
#include "text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONFIG "/etc/lifeboat/agent.yaml"

const struct command commands[] = {
    {.name = "run",
     .arguments = "",
     .help = "the daemon: jobs on their schedules, health, metrics"},
    {.name = "check",
     .arguments = "[COMPONENT...]",
     .help = "configuration, connections, rights, tools, stores: a line each",
     .flags = FLAG_GRANTS,
     .run = cmd_check},
    {.name = "backup",
     .arguments = "[COMPONENT...]",
     .help = "back up now, then prune",
     .flags = FLAG_FULL,
     .run = cmd_backup},
    {.name = "list",
     .arguments = "[COMPONENT...]",
     .help = "the backups there are",
     .flags = FLAG_STORE | FLAG_FROM,
     .run = cmd_list},
    {.name = "show",
     .arguments = "COMPONENT@BACKUP",
     .help = "what is in a backup, and how long each part took",
     .flags = FLAG_STORE | FLAG_FROM,
     .run = cmd_show},
    {.name = "verify",
     .arguments = "[COMPONENT[@BACKUP]...]",
     .help = "read back every byte, and prove the structure",
     .flags = FLAG_STORE | FLAG_FROM | FLAG_ALL,
     .run = cmd_verify},
    {.name = "restore",
     .arguments = "COMPONENT[@BACKUP]",
     .help = "restore, prove, and put in the place of the live data, which is kept",
     .flags = FLAG_STORE | FLAG_FROM | FLAG_TO | FLAG_YES | FLAG_GLOBALS | FLAG_LEAVE_REPLICATION |
              FLAG_DROP_OLD | FLAG_NO_SAFETY | FLAG_IF_EMPTY | FLAG_TOPIC | FLAG_TO_TOPIC |
              FLAG_UNTIL | FLAG_APPEND | FLAG_REPLACE,
     .run = cmd_restore},
    {.name = "drill",
     .arguments = "[COMPONENT[@BACKUP]...]",
     .help = "restore into a scratch place, compare, drop it, record it",
     .flags = FLAG_STORE | FLAG_FROM | FLAG_GLOBALS,
     .run = cmd_drill},
    {.name = "prune",
     .arguments = "[COMPONENT...]",
     .help = "remove what retention lets go, and orphans",
     .flags = FLAG_DRY_RUN,
     .run = cmd_prune},
    {.name = "adopt",
     .arguments = "COMPONENT",
     .help = "yes, it is meant to be this small: retention goes on",
     .run = cmd_adopt},
    {.name = "upload",
     .arguments = "[COMPONENT...]",
     .help = "send what fell back to local disk",
     .run = cmd_upload},
    {.name = NULL},
};

enum {
    OPTION_FLAGS = 0x10000, /* getopt values of the rows begin here */
};

struct flag_row {
    const char *name;
    const char *value; /* what stands for it in the help; NULL: takes none */
    const char *help;
    unsigned flag;
};

static const struct flag_row flag_rows[] = {
    {"store", "NAME", "look in this store", FLAG_STORE},
    {"from", "CLUSTER/NAMESPACE/COMPONENT", "read another one's backups", FLAG_FROM},
    {"to", "PLACE", "restore into this database (Redis: file), replace nothing", FLAG_TO},
    {"all", NULL, "every backup, not only the newest", FLAG_ALL},
    {"yes", NULL, "do not ask", FLAG_YES},
    {"dry-run", NULL, "say what would go, remove nothing", FLAG_DRY_RUN},
    {"grants", NULL, "print the rights that this configuration needs", FLAG_GRANTS},
    {"globals", NULL, "make the roles that are missing; Kafka: put the ACLs back", FLAG_GLOBALS},
    {"leave-replication", NULL, "subscriptions and slots may stay behind", FLAG_LEAVE_REPLICATION},
    {"drop-old", NULL, "drop the replaced data after the swap", FLAG_DROP_OLD},
    {"no-safety", NULL, "Redis: take no backup of the live data first", FLAG_NO_SAFETY},
    {"if-empty", NULL, "with --to: do nothing where there is data", FLAG_IF_EMPTY},
    {"topic", "NAME", "Kafka: only this topic", FLAG_TOPIC},
    {"to-topic", "PATTERN", "Kafka: into topics of these names, e.g. restored-*", FLAG_TO_TOPIC},
    {"until", "TIME", "Kafka: no record of a later time", FLAG_UNTIL},
    {"append", NULL, "Kafka: behind the records that are there", FLAG_APPEND},
    {"replace", NULL, "Kafka: delete the topics that are there, once the new records are proven",
     FLAG_REPLACE},
    {"full", NULL, "Kafka: all, not only what is new", FLAG_FULL},
};

#define FLAG_ROWS (sizeof flag_rows / sizeof flag_rows[0])

static void print_command_help(const struct command *command)
{
    printf("usage: lifeboat-agent %s [-c FILE] [--json] %s\n%s\n", command->name,
           command->arguments, command->help);
    for (size_t i = 0; i < FLAG_ROWS; i++) {
        const struct flag_row *row = &flag_rows[i];

        if ((command->flags & row->flag) != 0)
            printf("  --%s%s%s\n        %s\n", row->name, row->value == NULL ? "" : " ",
                   row->value == NULL ? "" : row->value, row->help);
    }
}

static void print_help(void)
{
    printf(
        "usage: lifeboat-agent COMMAND [-c FILE] [--json] [OPTIONS] [COMPONENT[@BACKUP]...]\n\n");
    for (const struct command *command = commands; command->name != NULL; command++)
        printf("  %-8s %-24s %s\n", command->name, command->arguments, command->help);
    printf("\n-c FILE   the configuration (%s)\n--json    one JSON object a result\n"
           "BACKUP    an id, latest, or a time: 2026-11-23T07:00Z\n"
           "lifeboat-agent COMMAND --help lists the options of a command\n",
           DEFAULT_CONFIG);
}

static const struct command *find(const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static int unknown_command(const char *name, struct err *err)
{
    const char *nearest = NULL;
    size_t distance = 3;

    for (const struct command *command = commands; command->name != NULL; command++) {
        size_t d = text_distance(name, command->name);

        if (d < distance) {
            distance = d;
            nearest = command->name;
        }
    }
    return err_set(err, ERR_USAGE, "there is no command \"%s\"%s%s%s", name,
                   nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "?");
}

static void set_flag(struct invocation *in, unsigned flag, const char *value)
{
    switch (flag) {
    case FLAG_STORE:
        in->store = value;
        break;
    case FLAG_FROM:
        in->from = value;
        break;
    case FLAG_TO:
        in->to = value;
        break;
    case FLAG_TOPIC:
        in->topic = value;
        break;
    case FLAG_TO_TOPIC:
        in->to_topic = value;
        break;
    case FLAG_UNTIL:
        in->until = value;
        break;
    case FLAG_ALL:
        in->all = true;
        break;
    case FLAG_YES:
        in->yes = true;
        break;
    case FLAG_DRY_RUN:
        in->dry_run = true;
        break;
    case FLAG_GRANTS:
        in->grants = true;
        break;
    case FLAG_GLOBALS:
        in->globals = true;
        break;
    case FLAG_LEAVE_REPLICATION:
        in->leave_replication = true;
        break;
    case FLAG_DROP_OLD:
        in->drop_old = true;
        break;
    case FLAG_NO_SAFETY:
        in->no_safety = true;
        break;
    case FLAG_IF_EMPTY:
        in->if_empty = true;
        break;
    case FLAG_APPEND:
        in->append = true;
        break;
    case FLAG_REPLACE:
        in->replace = true;
        break;
    default:
        in->full = true;
        break;
    }
}

/* The options as getopt_long wants them: those of all commands, then the rows. */
static void fill_long_options(struct option *options)
{
    size_t n = 0;

    options[n++] = (struct option){"config", required_argument, NULL, 'c'};
    options[n++] = (struct option){"json", no_argument, NULL, 'j'};
    options[n++] = (struct option){"help", no_argument, NULL, 'h'};
    for (size_t i = 0; i < FLAG_ROWS; i++)
        options[n++] = (struct option){flag_rows[i].name,
                                       flag_rows[i].value == NULL ? no_argument : required_argument,
                                       NULL, (int)(OPTION_FLAGS + i)};
    options[n] = (struct option){NULL, 0, NULL, 0};
}

static int read_options(int argc, char **argv, const struct command *command, struct invocation *in,
                        bool *help, struct err *err)
{
    struct option options[FLAG_ROWS + 4];
    int code;

    fill_long_options(options);
    opterr = 0;
    optind = 1;
    while ((code = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
        const struct flag_row *row = code >= OPTION_FLAGS ? &flag_rows[code - OPTION_FLAGS] : NULL;

        if (code == '?')
            return err_set(err, ERR_USAGE, "%s has no option %s", command->name, argv[optind - 1]);
        if (code == ':')
            return err_set(err, ERR_USAGE, "%s needs a value", argv[optind - 1]);
        if (row != NULL && (command->flags & row->flag) == 0)
            return err_set(err, ERR_USAGE, "%s has no option --%s", command->name, row->name);
        if (row != NULL)
            set_flag(in, row->flag, optarg);
        else if (code == 'c')
            in->config_path = optarg;
        else if (code == 'j')
            in->json = true;
        else
            *help = true;
    }
    in->targets = argv + optind;
    in->target_count = (size_t)(argc - optind);
    return 0;
}

int command_line_read(int argc, char **argv, const struct command **command, struct invocation *in,
                      struct err *err)
{
    const struct command *found;
    bool help = false;

    *command = NULL;
    *in = (struct invocation){.config_path = DEFAULT_CONFIG};
    if (argc < 2)
        return err_set(err, ERR_USAGE, "which command? lifeboat-agent --help lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help();
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("lifeboat-agent %s\n", LIFEBOAT_VERSION);
        return 0;
    }
    found = find(argv[1]);
    if (found == NULL)
        return unknown_command(argv[1], err);
    if (found->run == NULL)
        return err_set(err, ERR_USAGE, "%s is no job; it is lifeboat-agent's own", found->name);
    if (read_options(argc - 1, argv + 1, found, in, &help, err) < 0)
        return -1;
    if (help) {
        print_command_help(found);
        return 0;
    }
    in->command = found->name;
    *command = found;
    return 0;
}
