// SPDX-License-Identifier: Apache-2.0
// INFO: lines of "field:value", and headings with a hash sign.
#include "conn.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int redis_info(struct redis_conn *conn, const char *section, char **info, struct err *err)
{
    return redis_conn_text(conn, info, err, "INFO", section, NULL);
}

bool redis_info_field(const char *info, const char *field, char *value, size_t cap)
{
    size_t field_len = strlen(field);

    value[0] = '\0';
    while (*info != '\0') {
        size_t len = strcspn(info, "\r\n");

        if (len > field_len && memcmp(info, field, field_len) == 0 && info[field_len] == ':') {
            snprintf(value, cap, "%.*s", (int)(len - field_len - 1), info + field_len + 1);
            return true;
        }
        info += len;
        info += strspn(info, "\r\n");
    }
    return false;
}

int64_t redis_info_number(const char *info, const char *field, int64_t absent)
{
    char value[32];
    bool negative = redis_info_field(info, field, value, sizeof value) && value[0] == '-';
    uint64_t number;

    if (text_parse_u64(value + negative, &number) < 0 || number > INT64_MAX)
        return absent;
    return negative ? -(int64_t)number : (int64_t)number;
}
