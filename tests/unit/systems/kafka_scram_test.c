// SPDX-License-Identifier: Apache-2.0
// SCRAM: the exchange of RFC 7677, and servers that must not be believed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scram.h"

#include <string.h>

#define NONCE     "rOprNGfwEbeRWgbNEkqO"
#define SERVER    NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CHALLENGE "r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define PROOF     "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SIGNATURE "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram *begin(void)
{
    return scram_new(false, "user", "pencil", NONCE);
}

static void test_the_exchange_of_the_rfc(void **state)
{
    struct scram *scram = begin();
    struct err err = ERR_INIT;

    (void)state;
    assert_string_equal(scram_first(scram), "n,,n=user,r=" NONCE);
    assert_int_equal(scram_challenge(scram, CHALLENGE, strlen(CHALLENGE), &err), 0);
    assert_string_equal(scram_final(scram), "c=biws,r=" SERVER ",p=" PROOF);
    assert_int_equal(scram_verify(scram, SIGNATURE, strlen(SIGNATURE), &err), 0);
    scram_free(scram);
}

static void test_a_name_is_escaped(void **state)
{
    struct scram *scram = scram_new(true, "a=b,c", "x", "n");

    (void)state;
    assert_string_equal(scram_first(scram), "n,,n=a=3Db=2Cc,r=n");
    scram_free(scram);
}

static void refuse(const char *challenge)
{
    struct scram *scram = begin();
    struct err err = ERR_INIT;

    if (scram_challenge(scram, challenge, strlen(challenge), &err) == 0)
        fail_msg("taken: %s", challenge);
    assert_int_equal(err.kind, ERR_DENIED);
    assert_null(strstr(err.text, "pencil"));
    scram_free(scram);
}

static void test_challenges_that_are_refused(void **state)
{
    (void)state;
    refuse("");
    refuse("e=other-error");
    refuse("m=ext," CHALLENGE);
    refuse("r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"); /* nothing of the server's own */
    refuse("r=other" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    refuse("r=" SERVER ",s=,i=4096");
    refuse("r=" SERVER ",s=W22Z!J0SNY7soEsUEjb6gQ==,i=4096");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096");
    refuse("r=" SERVER ",i=4096");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001");
    refuse("r=" SERVER ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999999");
}

static void test_every_prefix_of_a_challenge(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    for (size_t len = 0; len < strlen(CHALLENGE); len++) {
        struct scram *scram = begin();

        assert_int_equal(scram_challenge(scram, CHALLENGE, len, &err), -1);
        scram_free(scram);
    }
}

static void test_a_server_that_does_not_know_the_password(void **state)
{
    static const char *const said[] = {"",
                                       "v",
                                       "v=",
                                       "e=invalid-proof",
                                       "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",
                                       "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
                                       SIGNATURE "AAAA"};
    struct scram *scram = begin();
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(scram_challenge(scram, CHALLENGE, strlen(CHALLENGE), &err), 0);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        assert_int_equal(scram_verify(scram, said[i], strlen(said[i]), &err), -1);
        assert_int_equal(err.kind, ERR_DENIED);
    }
    scram_free(scram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_exchange_of_the_rfc),
        cmocka_unit_test(test_a_name_is_escaped),
        cmocka_unit_test(test_challenges_that_are_refused),
        cmocka_unit_test(test_every_prefix_of_a_challenge),
        cmocka_unit_test(test_a_server_that_does_not_know_the_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
