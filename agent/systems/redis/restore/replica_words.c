// SPDX-License-Identifier: Apache-2.0
// Commands are arrays of strings ("*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"); bare newlines between them
// keep the connection alive while the replica loads.
#include "replica_words.h"

#include "text.h"

#include <string.h>
#include <strings.h>

#define MAX_DIGITS 6

static int no_replica(struct err *err)
{
    return err_set(err, ERR_SOURCE, "what connected does not speak as a replica does");
}

static bool word_is(const struct replica_words *words, size_t i, const char *word)
{
    return words->arguments > i && words->kept_len[i] == strlen(word) &&
           strncasecmp(words->kept[i], word, words->kept_len[i]) == 0;
}

/* The third word, or -1 for none. */
static int64_t third_number(const struct replica_words *words)
{
    char digits[REPLICA_KEPT_BYTES + 1];
    uint64_t number;

    memcpy(digits, words->kept[2], words->kept_len[2]);
    digits[words->kept_len[2]] = '\0';
    return words->arguments > 2 && text_parse_u64(digits, &number) == 0 && number <= INT64_MAX
               ? (int64_t)number
               : -1;
}

static int understand(const struct replica_words *words, struct replica_command *command,
                      struct err *err)
{
    *command = (struct replica_command){.said = REPLICA_CONF, .offset = -1};
    if (word_is(words, 0, "PING")) {
        command->said = REPLICA_PING;
    } else if (word_is(words, 0, "AUTH")) {
        command->said = REPLICA_AUTH;
    } else if (word_is(words, 0, "REPLCONF")) {
        if (!word_is(words, 1, "ACK"))
            return 0;
        command->said = REPLICA_ACK;
        command->offset = third_number(words);
        return command->offset < 0 ? no_replica(err) : 0;
    } else if (word_is(words, 0, "PSYNC") && words->arguments == 3 && words->kept_len[1] > 0 &&
               words->kept_len[1] < sizeof command->replid) {
        command->said = REPLICA_PSYNC;
        memcpy(command->replid, words->kept[1], words->kept_len[1]);
    } else {
        return no_replica(err);
    }
    return 0;
}

/* A digit, or the end of its line: then *done. */
static int read_number(struct replica_words *words, uint8_t byte, bool *done, struct err *err)
{
    if (words->carriage_return) {
        words->carriage_return = false;
        *done = true;
        return byte == '\n' && words->digits > 0 ? 0 : no_replica(err);
    }
    if (byte == '\r') {
        words->carriage_return = true;
        return 0;
    }
    if (byte < '0' || byte > '9' || ++words->digits > MAX_DIGITS)
        return no_replica(err);
    words->number = words->number * 10 + (uint64_t)(byte - '0');
    return 0;
}

static void begin_number(struct replica_words *words, unsigned state)
{
    words->state = state;
    words->number = 0;
    words->digits = 0;
}

static int begin_arguments(struct replica_words *words, struct err *err)
{
    if (words->number == 0 || words->number > REPLICA_MAX_ARGUMENTS)
        return no_replica(err);
    words->arguments = words->number;
    words->argument = 0;
    memset(words->kept_len, 0, sizeof words->kept_len);
    words->state = WORDS_DOLLAR;
    return 0;
}

/* As much of data as belongs to the argument. */
static size_t take_body(struct replica_words *words, const uint8_t *data, size_t len)
{
    size_t n = len < words->left ? len : (size_t)words->left;

    if (words->argument < 3 && (words->argument == 0 || !word_is(words, 0, "AUTH"))) {
        size_t *have = &words->kept_len[words->argument];
        size_t room = REPLICA_KEPT_BYTES - *have;
        size_t kept = n < room ? n : room;

        memcpy(words->kept[words->argument] + *have, data, kept);
        *have += kept;
    }
    words->left -= n;
    if (words->left == 0)
        words->state = WORDS_END;
    return n;
}

/* The line's end after an argument: then *whole tells whether it was the last. */
static int end_argument(struct replica_words *words, uint8_t byte, bool *whole, struct err *err)
{
    if (byte != (words->carriage_return ? '\n' : '\r'))
        return no_replica(err);
    words->carriage_return = !words->carriage_return;
    if (words->carriage_return)
        return 0;
    *whole = ++words->argument == words->arguments;
    words->state = *whole ? WORDS_START : WORDS_DOLLAR;
    return 0;
}

static int read_byte(struct replica_words *words, uint8_t byte, bool *whole, struct err *err)
{
    bool done = false;

    switch (words->state) {
    case WORDS_START:
        if (byte == '*')
            begin_number(words, WORDS_COUNT);
        return byte == '*' || byte == '\n' ? 0 : no_replica(err);
    case WORDS_COUNT:
        if (read_number(words, byte, &done, err) < 0)
            return -1;
        return done ? begin_arguments(words, err) : 0;
    case WORDS_DOLLAR:
        begin_number(words, WORDS_LENGTH);
        return byte == '$' ? 0 : no_replica(err);
    case WORDS_LENGTH:
        if (read_number(words, byte, &done, err) < 0 || words->number > REPLICA_MAX_BYTES)
            return no_replica(err);
        words->left = words->number;
        if (done)
            words->state = words->left > 0 ? WORDS_BODY : WORDS_END;
        return 0;
    default:
        return end_argument(words, byte, whole, err);
    }
}

enum step replica_words_read(struct replica_words *words, const uint8_t *data, size_t len,
                             size_t *used, struct replica_command *command, struct err *err)
{
    bool whole = false;
    size_t pos = 0;

    while (pos < len && !whole) {
        if (words->state == WORDS_BODY) {
            pos += take_body(words, data + pos, len - pos);
            continue;
        }
        if (read_byte(words, data[pos], &whole, err) < 0)
            return STEP_ERROR;
        pos++;
    }
    *used = pos;
    if (!whole)
        return STEP_AGAIN;
    return understand(words, command, err) < 0 ? STEP_ERROR : STEP_OK;
}
