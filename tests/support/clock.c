/* Clocks that a test moves, to be preloaded. The wall clock (time(), gettimeofday(), CLOCK_REALTIME) is the kernel's and
   the seconds that $STEP_FILE holds, a binary double. CLOCK_MONOTONIC is the nanoseconds that $STILL_FILE holds, a binary
   int64. Without its file each is as it is. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile double *step;
static volatile int64_t *still;

static void *mapped(const char *name) {
    const char *path = getenv(name);
    if (path == NULL)
        return NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    return at;
}

__attribute__((constructor)) static void begin(void) {
    step = mapped("STEP_FILE");
    still = mapped("STILL_FILE");
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (clock == CLOCK_MONOTONIC && still != NULL) {
        at->tv_sec = *still / 1000000000;
        at->tv_nsec = *still % 1000000000;
        return 0;
    }
    int result = syscall(SYS_clock_gettime, clock, at);
    if (step != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += (time_t)*step;
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
