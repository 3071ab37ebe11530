// SPDX-License-Identifier: Apache-2.0
// URLs in the one form that signer and store agree on, and keys of a list decoded.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/internal.h"

#include <stdlib.h>
#include <string.h>

static void check_base(const char *endpoint, bool path_style, const char *bucket,
                       const char *wanted)
{
    struct s3_options options = {
        .bucket = (char *)bucket, .endpoint = (char *)endpoint, .path_style = path_style};
    struct err err = ERR_INIT;
    char *base = NULL;
    int rc = s3_url_base(&options, "eu-west-1", &base, &err);

    if (wanted == NULL) {
        assert_int_equal(rc, -1);
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_null(base);
        return;
    }
    assert_int_equal(rc, 0);
    assert_string_equal(base, wanted);
    free(base);
}

static void test_the_base_follows_endpoint_and_style(void **state)
{
    (void)state;
    check_base(NULL, false, "aipx", "https://aipx.s3.eu-west-1.amazonaws.com");
    check_base("", true, "aipx", "https://s3.eu-west-1.amazonaws.com/aipx");
    check_base("http://127.0.0.1:9000", true, "aipx", "http://127.0.0.1:9000/aipx");
    check_base("http://[::1]:9000", true, "aipx", "http://[::1]:9000/aipx");
    check_base("https://s3.example.com", false, "aipx", "https://aipx.s3.example.com");
    check_base("http://s3.example.com", false, "a.b", "http://a.b.s3.example.com");
    check_base("https://s3.example.com", true, "a.b", "https://s3.example.com/a.b");
    check_base("https://s3.example.com", false, "a.b", NULL);
}

static void check_url(const char *key, const struct s3_pair *query, size_t count,
                      const char *wanted)
{
    char *url = s3_url("http://h/b", key, query, count);

    assert_string_equal(url, wanted);
    free(url);
}

static void test_a_url_is_canonical(void **state)
{
    const struct s3_pair unsorted[] = {{"uploadId", "a/b+c="}, {"partNumber", "7"}};
    const struct s3_pair ended[] = {{"uploads", ""}, {NULL, NULL}, {"never", "seen"}};

    (void)state;
    check_url(NULL, NULL, 0, "http://h/b/");
    check_url("prod/a-b_c.d~e", NULL, 0, "http://h/b/prod/a-b_c.d~e");
    check_url("a b+c:d=e@f&g?h#i%j*k", NULL, 0,
              "http://h/b/a%20b%2Bc%3Ad%3De%40f%26g%3Fh%23i%25j%2Ak");
    check_url("\xc3\xa4/..", NULL, 0, "http://h/b/%C3%A4/..");
    check_url("k", unsorted, 2, "http://h/b/k?partNumber=7&uploadId=a%2Fb%2Bc%3D");
    check_url("k", ended, 3, "http://h/b/k?uploads=");
}

static void check_decode(const char *encoded, const char *wanted)
{
    char *raw = NULL;

    assert_int_equal(s3_url_decode(encoded, &raw), wanted == NULL ? -1 : 0);
    if (wanted == NULL)
        assert_null(raw);
    else
        assert_string_equal(raw, wanted);
    free(raw);
}

static void test_keys_of_a_list_are_decoded_strictly(void **state)
{
    (void)state;
    check_decode("", "");
    check_decode("a%2Fb%2fc", "a/b/c");
    check_decode("a+b%2B%20", "a b+ ");
    check_decode("%C3%A4%7f", "\xc3\xa4\x7f");
    check_decode("100%", NULL);
    check_decode("%4", NULL);
    check_decode("%zz", NULL);
    check_decode("a%00b", NULL);
    check_decode("%%41", NULL);
}

static void test_encoding_and_decoding_agree(void **state)
{
    char all[256], *raw = NULL;
    struct text encoded = TEXT_INIT;

    (void)state;
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    all[255] = '\0';
    s3_url_encode(&encoded, all, false);
    assert_int_equal(s3_url_decode(text_str(&encoded), &raw), 0);
    assert_string_equal(raw, all);
    text_fini(&encoded);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_base_follows_endpoint_and_style),
        cmocka_unit_test(test_a_url_is_canonical),
        cmocka_unit_test(test_keys_of_a_list_are_decoded_strictly),
        cmocka_unit_test(test_encoding_and_decoding_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
