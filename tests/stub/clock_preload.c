// SPDX-License-Identifier: Apache-2.0
// A wall clock that stands where a test sets it, for a whole process tree: preloaded, it answers
// for CLOCK_REALTIME with the eight bytes (milliseconds since 1970) of the file that TEST_CLOCK
// names, mapped once. Times of files, as fstat() tells them, are moved by the same distance, so
// that a local store's clock agrees. The monotonic clock stays real.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *wall_ms;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("TEST_CLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *wall_ms, PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    if (mapped != MAP_FAILED)
        wall_ms = mapped;
}

static struct timespec real_time(void)
{
    struct timespec now = {0};

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now;
}

static struct timespec test_time(void)
{
    int64_t ms;

    if (wall_ms == NULL)
        return real_time();
    ms = *wall_ms;
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, id, now);
    *now = test_time();
    return 0;
}

time_t time(time_t *now)
{
    time_t seconds = test_time().tv_sec;

    if (now != NULL)
        *now = seconds;
    return seconds;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec test = test_time();

    (void)zone;
    *now = (struct timeval){.tv_sec = test.tv_sec, .tv_usec = test.tv_nsec / 1000};
    return 0;
}

int fstat(int fd, struct stat *info)
{
    int rc = (int)syscall(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH);

    if (rc == 0 && wall_ms != NULL)
        info->st_mtim.tv_sec += test_time().tv_sec - real_time().tv_sec;
    return rc;
}
