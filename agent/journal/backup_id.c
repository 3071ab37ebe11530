// SPDX-License-Identifier: Apache-2.0
// "20261123T071500Z-7f3a9c": the second, its millisecond, and three random digits.
#include "backup_id.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void backup_id_make(int64_t wall_ms, char *id)
{
    char when[CLOCK_TEXT_CAP];
    uint16_t chance;

    while (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        continue;
    snprintf(id, BACKUP_ID_CAP, "%.16s-%03x%03x", clock_format_compact(wall_ms, when),
             (unsigned)(wall_ms % 1000), chance & 0xfffU);
}

bool backup_id_valid(const char *id)
{
    char when[17] = "";
    int64_t wall_ms;

    if (strlen(id) != 23 || id[16] != '-' || strspn(id + 17, "0123456789abcdef") != 6)
        return false;
    memcpy(when, id, 16);
    return clock_parse(when, &wall_ms) == 0 && wall_ms >= 0;
}
