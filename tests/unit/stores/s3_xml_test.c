// SPDX-License-Identifier: Apache-2.0
// What stores answer, honest or not: elements with their paths, errors, pages of lists, keys.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/internal.h"

#include "clock.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* --- elements --- */

static int write_down(void *arg, const char *path, const char *text, struct err *err)
{
    (void)err;
    text_add(arg, "%s=%s;", path, text);
    return 0;
}

static void check_xml(const char *xml, const char *wanted)
{
    struct text seen = TEXT_INIT;
    struct err err = ERR_INIT;
    int rc = s3_xml_read(xml, strlen(xml), write_down, &seen, &err);

    if (wanted == NULL) {
        assert_int_equal(rc, -1);
        assert_int_equal(err.kind, ERR_STORE);
    } else {
        assert_int_equal(rc, 0);
        assert_string_equal(text_str(&seen), wanted);
    }
    text_fini(&seen);
}

static void test_elements_come_with_path_and_text(void **state)
{
    (void)state;
    check_xml("<a/>", "a=;");
    check_xml("<?xml version=\"1.0\"?>\n<a xmlns=\"urn:x\"> <b>1</b>\n<b> 2 </b><c><d/></c> x</a>",
              "a/b=1;a/b= 2 ;a/c/d=;a/c=;a=;");
    check_xml("<a>&lt;&amp;&#228;</a>", "a=<&\xc3\xa4;");
}

static void test_what_is_not_honest_is_refused(void **state)
{
    char *deep = mem_calloc(4000, 1), *longer = mem_calloc(20000, 1);

    (void)state;
    check_xml("", NULL);
    check_xml("<a>", NULL);
    check_xml("<a></b>", NULL);
    check_xml("<html><p>Bad gateway</html>", NULL);
    check_xml("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", NULL);
    check_xml("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", NULL);
    check_xml("<a>&b;</a>", NULL);
    check_xml("<a>\xff</a>", NULL);
    for (int i = 0; i < 500; i++)
        memcpy(deep + 3 * i, "<a>", 3);
    check_xml(deep, NULL);
    memset(longer, 'x', 19990);
    memcpy(longer, "<a>", 3);
    memcpy(longer + 19990, "</a>", 4);
    check_xml(longer, NULL);
    memset(longer + 1, 'n', 300); /* a name over the path's room */
    longer[301] = '>';
    check_xml(longer, NULL);
    free(deep);
    free(longer);
}

static int refuse(void *arg, const char *path, const char *text, struct err *err)
{
    (void)path;
    (void)text;
    ++*(int *)arg;
    return err_set(err, ERR_REFUSED, "enough");
}

static void test_the_callback_ends_it(void **state)
{
    const char *xml = "<a><b/><b/><b/></a>";
    struct err err = ERR_INIT;
    int calls = 0;

    (void)state;
    assert_int_equal(s3_xml_read(xml, strlen(xml), refuse, &calls, &err), -1);
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_int_equal(calls, 1);
}

/* --- errors --- */

static void check_error(const char *xml, const char *code, const char *message)
{
    struct s3_error error;

    assert_int_equal(s3_xml_error(xml, xml == NULL ? 0 : strlen(xml), &error), code[0] != '\0');
    assert_string_equal(error.code, code);
    assert_string_equal(error.message, message);
}

static void test_errors_are_found_and_cleaned(void **state)
{
    struct text xml = TEXT_INIT;
    struct s3_error error;

    (void)state;
    check_error("<Error><Code>SlowDown</Code><Message>Please\n\twait</Message></Error>", "SlowDown",
                "Please  wait");
    check_error("<ErrorResponse xmlns=\"urn:sts\"><Error><Type>Sender</Type><Code>AccessDenied"
                "</Code></Error></ErrorResponse>",
                "AccessDenied", "");
    check_error("<Error></Error>", "Error", "");
    check_error("<ListBucketResult><Error><Code>No</Code></Error></ListBucketResult>", "", "");
    check_error("<Error><Code>Cut", "", "");
    check_error("   ", "", "");
    check_error(NULL, "", "");
    text_add(&xml, "<Error><Code>C</Code><Message>");
    for (int i = 0; i < 500; i++)
        text_add(&xml, "x\xc3\xa4");
    text_add(&xml, "</Message></Error>");
    assert_true(s3_xml_error(xml.data, xml.len, &error));
    assert_int_equal(strlen(error.message), 255); /* 85 times three, no half character */
    text_fini(&xml);
}

/* --- pages --- */

static void test_a_page_of_objects(void **state)
{
    const char *xml =
        "<ListBucketResult><Name>b</Name><Prefix>p</Prefix><IsTruncated>true</IsTruncated>"
        "<Contents><Key>p/a+b%2B</Key><LastModified>2026-11-23T07:15:00.123456Z</LastModified>"
        "<Size>12</Size><Owner><ID>x</ID></Owner></Contents>"
        "<Contents><Key>p/%C3%A4</Key><Size>0</Size></Contents>"
        "<EncodingType>url</EncodingType><NextContinuationToken>t+1</NextContinuationToken>"
        "</ListBucketResult>";
    struct s3_page page = {.items = NULL};
    struct err err = ERR_INIT;
    char moment[CLOCK_TEXT_CAP];

    (void)state;
    assert_int_equal(s3_page_read(xml, strlen(xml), &page, &err), 0);
    assert_int_equal(page.count, 2);
    assert_string_equal(page.items[0].key, "p/a b+");
    assert_int_equal(page.items[0].bytes, 12);
    assert_string_equal(clock_format(page.items[0].modified_ms, moment),
                        "2026-11-23T07:15:00.000Z");
    assert_string_equal(page.items[1].key, "p/\xc3\xa4");
    assert_true(page.truncated);
    assert_string_equal(page.token, "t+1");
    s3_page_fini(&page);
}

static void test_a_page_of_uploads(void **state)
{
    const char *xml =
        "<ListMultipartUploadsResult><UploadIdMarker/><NextKeyMarker>k+</NextKeyMarker>"
        "<NextUploadIdMarker>u2</NextUploadIdMarker><IsTruncated>true</IsTruncated>"
        "<Upload><Key>a+b</Key><UploadId>u1</UploadId>"
        "<Initiated>2026-11-23T07:15:00Z</Initiated></Upload>"
        "</ListMultipartUploadsResult>";
    struct s3_page page = {.items = NULL};
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(s3_page_read(xml, strlen(xml), &page, &err), 0);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.items[0].key, "a+b"); /* not encoded: it does not say so */
    assert_string_equal(page.items[0].upload, "u1");
    assert_string_equal(page.key_marker, "k+");
    assert_string_equal(page.upload_id_marker, "u2");
    s3_page_fini(&page);
}

static void test_pages_that_are_none(void **state)
{
    static const char *const bad[] = {
        "<html></html>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>k</Key><LastModified>now</LastModified></Contents>"
        "</ListBucketResult>",
        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%</Key></Contents>"
        "</ListBucketResult>",
        "<ListMultipartUploadsResult><Upload><Key>k</Key></Upload></ListMultipartUploadsResult>",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct s3_page page = {.items = NULL};
        struct err err = ERR_INIT;

        assert_int_equal(s3_page_read(bad[i], strlen(bad[i]), &page, &err), -1);
        assert_int_equal(err.kind, ERR_STORE);
        s3_page_fini(&page);
    }
}

/* --- keys --- */

#define STS(expiration)                                                                            \
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"            \
    "<AccessKeyId>AKIA</AccessKeyId><SecretAccessKey>secret-one</SecretAccessKey>"                 \
    "<SessionToken>token-one</SessionToken>" expiration                                            \
    "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"

static void test_keys_are_whole_or_refused(void **state)
{
    const char *xml = STS("<Expiration>2026-11-23T08:15:00Z</Expiration>");
    const char *no_end = STS("");
    const char *json = "{\"Code\": \"Success\", \"AccessKeyId\": \"AKIB\", \"SecretAccessKey\": "
                       "\"secret-two\", \"Token\": \"token-two\", \"Expiration\": "
                       "\"2026-11-23T09:15:00Z\"}";
    static const char *const bad[] = {
        "", "[]", "{}", "{\"AccessKeyId\": 1}",
        ("{\"AccessKeyId\": \"a\", \"SecretAccessKey\": \"s\", \"Token\": \"t\\r\\nHost: evil\", "
         "\"Expiration\": \"2026-11-23T09:15:00Z\"}")};
    struct s3_keys keys = {.access_key = NULL};
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(s3_keys_from_xml(xml, strlen(xml), &keys, &err), 0);
    assert_string_equal(keys.access_key, "AKIA");
    assert_string_equal(keys.secret_key, "secret-one");
    assert_string_equal(keys.session_token, "token-one");
    assert_int_equal(keys.expires_ms, INT64_C(1795421700000));
    assert_int_equal(s3_keys_from_xml(no_end, strlen(no_end), &keys, &err), -1);
    assert_string_equal(keys.access_key, "AKIA");
    assert_int_equal(s3_keys_from_json(json, strlen(json), &keys, &err), 0);
    assert_string_equal(keys.access_key, "AKIB");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(s3_keys_from_json(bad[i], strlen(bad[i]), &keys, &err), -1);
        assert_int_equal(err.kind, ERR_DENIED);
    }
    assert_string_equal(keys.access_key, "AKIB");
    s3_keys_fini(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_come_with_path_and_text),
        cmocka_unit_test(test_what_is_not_honest_is_refused),
        cmocka_unit_test(test_the_callback_ends_it),
        cmocka_unit_test(test_errors_are_found_and_cleaned),
        cmocka_unit_test(test_a_page_of_objects),
        cmocka_unit_test(test_a_page_of_uploads),
        cmocka_unit_test(test_pages_that_are_none),
        cmocka_unit_test(test_keys_are_whole_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
