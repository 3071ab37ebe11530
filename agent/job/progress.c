// SPDX-License-Identifier: Apache-2.0
// One line, rewritten in place.
#include "progress.h"

#include "channel.h"
#include "clock.h"
#include "text.h"

#include <stdio.h>
#include <unistd.h>

static void tell_daemon(const struct pump_status *status)
{
    const lifeboat_v1_Progress message = {
        .moving = true,
        .source_bytes = status->source_bytes,
        .sink_bytes = status->sink_bytes,
        .source_us = status->source_us,
        .lifeboat_us = status->stages_us,
        .store_us = status->sink_us,
    };

    channel_progress(&message);
}

static void show(void *arg, const struct pump_status *status)
{
    struct progress *progress = arg;
    uint64_t bytes = progress->inwards ? status->source_bytes : status->sink_bytes;
    int64_t elapsed_us = clock_mono_us() - progress->began_us;
    uint64_t rate = elapsed_us > 0 ? (uint64_t)((double)bytes * 1e6 / (double)elapsed_us) : 0;
    char size[24], speed[24], elapsed[24], share[16] = "";

    tell_daemon(status);
    if (!progress->on_terminal)
        return;
    if (progress->total_bytes > 0)
        snprintf(share, sizeof share, "  %3d %%",
                 (int)((double)bytes * 100 / (double)progress->total_bytes));
    fprintf(stderr, "\r\033[K%s  %s  %s/s  %s%s", progress->what,
            text_show_bytes(bytes, size, sizeof size), text_show_bytes(rate, speed, sizeof speed),
            text_show_duration(elapsed_us / 1000, elapsed, sizeof elapsed), share);
    progress->shown = true;
}

void progress_init(struct progress *progress, const char *what, bool inwards, uint64_t total_bytes)
{
    *progress = (struct progress){
        .watcher = {.progress = show, .arg = progress},
        .what = what,
        .inwards = inwards,
        .total_bytes = total_bytes,
        .began_us = clock_mono_us(),
        .on_terminal = isatty(STDERR_FILENO) == 1,
    };
}

void progress_fini(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
    channel_progress(NULL);
}

const char *progress_shares(int64_t source, int64_t store, int64_t lifeboat, char *buffer)
{
    int64_t sum = source + store + lifeboat;

    if (sum <= 0)
        sum = 1;
    snprintf(buffer, 64, "source %d %%, store %d %%, lifeboat %d %%",
             (int)((source * 100 + sum / 2) / sum), (int)((store * 100 + sum / 2) / sum),
             (int)((lifeboat * 100 + sum / 2) / sum));
    return buffer;
}
