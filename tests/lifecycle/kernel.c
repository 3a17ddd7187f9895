/* A kernel that refuses as a test tells it: preloaded, accept4(), epoll_ctl(EPOLL_CTL_ADD) and a send to an Internet
   socket fail with the error and as often as $KERNEL_FILE says (pairs of ints: error, times; in that order). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct refusal { int error, times; };
static struct refusal *told;
enum { ACCEPT, EPOLL, SEND };

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("KERNEL_FILE"), O_RDWR | O_CLOEXEC);
    told = mmap(NULL, 3 * sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
}

static int refused(int which) {
    if (told[which].times <= 0 || __atomic_fetch_sub(&told[which].times, 1, __ATOMIC_SEQ_CST) <= 0)
        return 0;
    errno = told[which].error;
    return 1;
}

static int is_inet(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET;
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    return refused(ACCEPT) ? -1 : syscall(SYS_accept4, fd, address, size, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD && is_inet(fd) && refused(EPOLL))
        return -1;
    return syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
    return is_inet(fd) && refused(SEND) ? -1 : syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    return is_inet(fd) && refused(SEND) ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}
