// SPDX-License-Identifier: Apache-2.0
// What a replica says, in pieces of any size; and what no replica says.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica_words.h"

#include <string.h>

#define REPLID "3180251e5f44841dc1f40bd1572bda74f1ffa354"

static const char handshake[] = "*1\r\n$4\r\nPING\r\n"
                                "*3\r\n$4\r\nauth\r\n$4\r\nuser\r\n$9\r\nsecret-47\r\n"
                                "\n*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n6379\r\n"
                                "*3\r\n$5\r\nPSYNC\r\n$40\r\n" REPLID "\r\n$1\r\n1\r\n"
                                "\n\n*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1000\r\n";

static void test_a_handshake_in_pieces(void **state)
{
    static const enum replica_said expected[] = {REPLICA_PING, REPLICA_AUTH, REPLICA_CONF,
                                                 REPLICA_PSYNC, REPLICA_ACK};

    (void)state;
    for (size_t piece = 1; piece < sizeof handshake; piece++) {
        struct replica_words words = {.digits = 0};
        struct replica_command command;
        struct err err = ERR_INIT;
        size_t count = 0;

        for (size_t pos = 0, used = 0; pos < sizeof handshake - 1; pos += used) {
            size_t left = sizeof handshake - 1 - pos;
            enum step step = replica_words_read(&words, (const uint8_t *)handshake + pos,
                                                left < piece ? left : piece, &used, &command, &err);

            assert_int_not_equal(step, STEP_ERROR);
            /* The password is nowhere. */
            assert_null(memmem(&words, sizeof words, "secret", 6));
            if (step != STEP_OK)
                continue;
            assert_int_equal(command.said, expected[count]);
            if (command.said == REPLICA_PSYNC)
                assert_string_equal(command.replid, REPLID);
            if (command.said == REPLICA_ACK)
                assert_int_equal(command.offset, 1000);
            count++;
        }
        assert_int_equal(count, 5);
    }
}

static void test_what_no_replica_says(void **state)
{
    static const char *const said[] = {
        "GET / HTTP/1.1\r\n",
        "*0\r\n",
        "*\r\n",
        "*33\r\n",
        "*-1\r\n",
        "*9999999\r\n",
        "*1\n",
        "*1\r$",
        "*1\r\n+OK\r\n",
        "*1\r\n$8193\r\n",
        "*1\r\n$99999999\r\n",
        "*1\r\n$4\r\nPINGX",
        "*1\r\n$4\r\nPING\rX",
        "*1\r\n$0\r\n\r\n",
        "*1\r\n$5\r\nPSYNC\r\n",
        "*3\r\n$5\r\nPSYNC\r\n$41\r\n" REPLID "x\r\n$1\r\n1\r\n",
        "*2\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n",
        "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\nx\r\n",
        "*1\r\n$8\r\nFLUSHALL\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct replica_words words = {.digits = 0};
        struct replica_command command;
        struct err err = ERR_INIT;
        size_t used;

        assert_int_equal(replica_words_read(&words, (const uint8_t *)said[i], strlen(said[i]),
                                            &used, &command, &err),
                         STEP_ERROR);
        assert_int_equal(err.kind, ERR_SOURCE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handshake_in_pieces),
        cmocka_unit_test(test_what_no_replica_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
