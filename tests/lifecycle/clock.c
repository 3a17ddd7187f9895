/* A wall clock that a test can step: preloaded, it adds the seconds that $STEP_FILE holds (a binary double) to what
   time(), gettimeofday() and clock_gettime(CLOCK_REALTIME) give. The monotonic clock stays as it is, as in the kernel. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile double *step;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("STEP_FILE"), O_RDONLY | O_CLOEXEC);
    step = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
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
