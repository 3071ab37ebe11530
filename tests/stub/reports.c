// SPDX-License-Identifier: Apache-2.0
// Ends jobs that never ran: puts COUNT reports of good backups into the journal below STATE_PATH,
// as a job would, for tests of what becomes of reports. Killed in the middle, it has written some.
#include "backup_id.h"
#include "clock.h"
#include "journal.h"
#include "text.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    uint64_t count = 0;

    if (argc != 4 || text_parse_u64(argv[3], &count) < 0) {
        fprintf(stderr, "usage: stub-reports STATE_PATH COMPONENT COUNT\n");
        return 2;
    }
    for (uint64_t i = 0; i < count; i++) {
        lifeboat_v1_Report report = lifeboat_v1_Report_init_zero;

        report.started_ms = report.ended_ms = report.recovery_point_ms = clock_wall_ms();
        backup_id_make(report.started_ms, report.job);
        backup_id_make(report.started_ms, report.backup);
        WIRE_SET(report.component, argv[2]);
        WIRE_SET(report.system, "postgres");
        report.kind = lifeboat_v1_JobKind_BACKUP;
        report.outcome = lifeboat_v1_Outcome_DONE;
        report.trigger = lifeboat_v1_Trigger_COMMAND;
        report.stored_bytes = i + 1;
        if (journal_record(argv[1], &report, true, &err) < 0) {
            fprintf(stderr, "stub-reports: %s\n", err.text);
            return 1;
        }
    }
    return 0;
}
