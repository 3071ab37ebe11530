// SPDX-License-Identifier: Apache-2.0
// Reads an S3 answer with expat and gives out each element's path and text. Nothing is trusted: a
// document type (and with it every entity but the five of XML) is refused, and depth, names and
// texts are bounded. The size of the whole is bounded by whoever gathered it.
#include "internal.h"

#include <expat.h>
#include <limits.h>
#include <string.h>

#define DEPTH_MAX      10
#define PATH_CAP       256
#define TEXT_MAX_BYTES 8192 /* a key of 1,024 bytes, each as %XX, and then some */

struct reader {
    XML_Parser parser;
    s3_xml_fn *each;
    void *arg;
    struct err *err;
    char path[PATH_CAP];
    size_t ends[DEPTH_MAX + 1]; /* length of path at each depth */
    size_t depth;
    struct text text;
    bool leaf; /* no child ended since the element began */
    bool stopped;
};

static void stop(struct reader *reader)
{
    reader->stopped = true;
    XML_StopParser(reader->parser, XML_FALSE);
}

static void refuse(struct reader *reader, const char *what)
{
    if (!reader->stopped)
        err_set(reader->err, ERR_STORE, "the answer is no honest XML: %s", what);
    stop(reader);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *reader = arg;
    size_t len = reader->ends[reader->depth];
    size_t name_len = strlen(name);

    (void)attributes;
    if (reader->stopped)
        return;
    if (reader->depth == DEPTH_MAX || len + name_len + 2 > PATH_CAP) {
        refuse(reader, "nested too deeply");
        return;
    }
    if (reader->depth > 0)
        reader->path[len++] = '/';
    memcpy(reader->path + len, name, name_len + 1);
    reader->ends[++reader->depth] = len + name_len;
    reader->leaf = true;
    text_clear(&reader->text);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
    struct reader *reader = arg;

    (void)name;
    if (reader->stopped)
        return;
    if (reader->each(reader->arg, reader->path, reader->leaf ? text_str(&reader->text) : "",
                     reader->err) < 0) {
        stop(reader);
        return;
    }
    reader->depth--;
    reader->path[reader->ends[reader->depth]] = '\0';
    reader->leaf = false;
    text_clear(&reader->text);
}

static void XMLCALL on_text(void *arg, const XML_Char *data, int len)
{
    struct reader *reader = arg;

    if (reader->stopped)
        return;
    if (reader->text.len + (size_t)len > TEXT_MAX_BYTES)
        refuse(reader, "a text is too long");
    else
        text_add_bytes(&reader->text, data, (size_t)len);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    refuse(arg, "a document type is not accepted");
}

int s3_xml_read(const char *data, size_t len, s3_xml_fn *each, void *arg, struct err *err)
{
    struct reader reader = {.each = each, .arg = arg, .err = err, .text = TEXT_INIT};
    int rc = -1;

    reader.parser = XML_ParserCreate("UTF-8");
    if (reader.parser == NULL)
        return err_set(err, ERR_INTERNAL, "no XML parser");
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
    if (len > INT_MAX) {
        err_set(err, ERR_STORE, "the answer is no honest XML: too long");
    } else if (XML_Parse(reader.parser, data, (int)len, XML_TRUE) == XML_STATUS_OK) {
        rc = 0;
    } else if (!reader.stopped) {
        err_set(err, ERR_STORE, "the answer is not XML: %s at line %lu",
                XML_ErrorString(XML_GetErrorCode(reader.parser)),
                (unsigned long)XML_GetCurrentLineNumber(reader.parser));
    }
    XML_ParserFree(reader.parser);
    text_fini(&reader.text);
    return rc;
}

/* Control characters become spaces; a cut never leaves half a character. */
static void copy_clean(char *out, size_t cap, const char *from)
{
    size_t len = 0;

    while (from[len] != '\0' && len + 1 < cap) {
        unsigned char c = (unsigned char)from[len];

        out[len++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    if (from[len] != '\0')
        while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80)
            len--;
    out[len] = '\0';
}

static int each_of_error(void *arg, const char *path, const char *text, struct err *err)
{
    struct s3_error *error = arg;

    /* Any other root: there is no need to read on. */
    if (!text_starts_with(path, "Error"))
        return err_set(err, ERR_STORE, "no error");
    if (text_starts_with(path, "ErrorResponse/")) /* as STS wraps it */
        path += strlen("ErrorResponse/");
    if (strcmp(path, "Error/Code") == 0)
        copy_clean(error->code, sizeof error->code, text);
    else if (strcmp(path, "Error/Message") == 0)
        copy_clean(error->message, sizeof error->message, text);
    else if (strcmp(path, "Error") == 0 && error->code[0] == '\0')
        copy_clean(error->code, sizeof error->code, "Error");
    return 0;
}

bool s3_xml_error(const char *data, size_t len, struct s3_error *error)
{
    struct err ignored = ERR_INIT;

    *error = (struct s3_error){.code = ""};
    if (data == NULL || s3_xml_read(data, len, each_of_error, error, &ignored) < 0)
        *error = (struct s3_error){.code = ""};
    return error->code[0] != '\0';
}
