// SPDX-License-Identifier: Apache-2.0
// Frames of JobMessage. A progress frame is smaller than PIPE_BUF, so it goes whole or not at all.
#include "channel.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPORT_PATIENCE_MS 1000

static int channel = -1;

void channel_open(void)
{
    const char *number = getenv(CHANNEL_FD_VARIABLE);
    uint64_t fd;

    if (number == NULL || text_parse_u64(number, &fd) < 0 || fd < 3 || fd > 1024)
        return;
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl((int)fd, F_SETFL, O_NONBLOCK) == 0)
        channel = (int)fd;
}

lifeboat_v1_Trigger channel_trigger(void)
{
    const char *word = getenv(CHANNEL_TRIGGER_VARIABLE);

    if (channel < 0 || word == NULL)
        return lifeboat_v1_Trigger_COMMAND;
    if (strcmp(word, "schedule") == 0)
        return lifeboat_v1_Trigger_SCHEDULE;
    if (strcmp(word, "catch_up") == 0)
        return lifeboat_v1_Trigger_CATCH_UP;
    return lifeboat_v1_Trigger_AUTOMATIC;
}

int64_t channel_slot_ms(void)
{
    const char *number = getenv(CHANNEL_SLOT_VARIABLE);
    uint64_t slot_ms;

    if (channel < 0 || number == NULL || text_parse_u64(number, &slot_ms) < 0 ||
        slot_ms > INT64_MAX)
        return 0;
    return (int64_t)slot_ms;
}

const char *channel_config_name(void)
{
    return channel < 0 ? NULL : getenv(CHANNEL_CONFIG_VARIABLE);
}

/* A daemon that is gone or stuck is no reason to fail. */
static void send_frame(const lifeboat_v1_JobMessage *message, int patience_ms)
{
    struct text frame = TEXT_INIT;
    size_t sent = 0;

    wire_add_frame(&frame, lifeboat_v1_JobMessage_fields, message);
    while (sent < frame.len) {
        ssize_t n = write(channel, frame.data + sent, frame.len - sent);
        struct pollfd wait = {.fd = channel, .events = POLLOUT};

        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno != EINTR &&
                 (errno != EAGAIN || patience_ms == 0 || poll(&wait, 1, patience_ms) == 0))
            break;
    }
    text_fini(&frame);
}

void channel_progress(const lifeboat_v1_Progress *progress)
{
    lifeboat_v1_JobMessage message = lifeboat_v1_JobMessage_init_zero;

    if (channel < 0)
        return;
    message.which_body = lifeboat_v1_JobMessage_progress_tag;
    if (progress != NULL)
        message.body.progress = *progress;
    send_frame(&message, 0);
}

void channel_report(const lifeboat_v1_Report *report)
{
    static lifeboat_v1_JobMessage message; /* too large for a stack */

    if (channel < 0)
        return;
    message.which_body = lifeboat_v1_JobMessage_report_tag;
    message.body.report = *report;
    send_frame(&message, REPORT_PATIENCE_MS);
}
