// SPDX-License-Identifier: Apache-2.0
// Any bytes as the head of a request: refused with a status, or a path that is fit to be compared,
// logged and shown.
#include "httpd.h"
#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_path(const char *path, size_t head_bytes)
{
    char *clean = mem_strdup(path);

    if (path[0] != '/' || strlen(path) >= head_bytes)
        abort();
    for (const char *at = path; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            abort();
    text_fix_utf8(clean);
    if (strcmp(clean, path) != 0)
        abort();
    free(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *path = NULL;
    bool head_only = false;
    int status = httpd_parse((const char *)data, len, &head_only, &path);

    switch (status) {
    case 0:
        check_path(path, len);
        if (memcmp(data, head_only ? "HEAD " : "GET ", head_only ? 5 : 4) != 0 ||
            memcmp(data + len - 4, "\r\n\r\n", 4) != 0)
            abort();
        break;
    case 400:
    case 405:
    case 414:
    case 431:
    case 505:
        if (path != NULL)
            abort();
        break;
    default:
        abort();
    }
    free(path);
    return 0;
}
