/* Two processes that share nothing but a socket: one makes a ring and sends its
 * memfd, the other maps it wherever it likes and writes. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <beltway/ring.h>

enum { ITEMS = 100000 };

struct reading {
    uint64_t number;
    char text[120];
};

/* One byte, because a message without bytes carries no descriptor. */
static struct msghdr message(struct iovec *byte, char *space, size_t size)
{
    struct msghdr m = { .msg_iov = byte, .msg_iovlen = 1 };
    m.msg_control = space;
    m.msg_controllen = size;
    return m;
}

static int send_fd(int to, int fd)
{
    char byte = 0, space[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8))) = { 0 };
    struct iovec io = { &byte, 1 };
    struct msghdr m = message(&io, space, sizeof space);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(to, &m, 0) == 1 ? 0 : -1;
}

static int receive_fd(int from)
{
    int fd = -1;
    char byte, space[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8)));
    struct iovec io = { &byte, 1 };
    struct msghdr m = message(&io, space, sizeof space);
    if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static int writer(int from)
{
    struct belt_mem mem;
    struct belt_tx tx;
    int fd = receive_fd(from);
    /* Attach refuses memory that its maker could still cut off under us. */
    if (belt_mem_attach(&mem, fd, 1) < 0 || belt_tx_open(&tx, mem) < 0)
        return 1;
    for (uint64_t n = 0; n < ITEMS; n++) {
        struct reading r = { .number = n };
        snprintf(r.text, sizeof r.text, "reading %llu", (unsigned long long)n);
        while (!belt_push(&tx, &r, sizeof r))
            if (belt_tx_wait(&tx, BELT_FOR_EVER) == -EOWNERDEAD)
                return 1;
    }
    belt_close(&tx);
    return 0;
}

static uint64_t read_all(struct belt_rx *rx)
{
    struct reading r;
    uint64_t good = 0;
    int rc;
    while ((rc = belt_rx_wait(rx, BELT_FOR_EVER)) == 0)
        while (belt_pop(rx, &r, sizeof r))
            good += r.number == good && memcmp(r.text, "reading ", 8) == 0;
    /* -EPIPE: the writer closed. -EOWNERDEAD: it died before it could. */
    return rc == -EPIPE ? good : 0;
}

int main(void)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = sizeof(struct reading) };
    struct belt_mem mem;
    struct belt_rx rx;
    int pair[2], status;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]); /* else receiving would outlast a parent that failed */
        _exit(writer(pair[1]));
    }
    close(pair[1]);
    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_SHARED) < 0 ||
        belt_ring_format(mem, &conf) < 0 || belt_rx_open(&rx, mem) < 0 ||
        send_fd(pair[0], mem.fd) < 0)
        return 1;
    uint64_t good = read_all(&rx);
    if (waitpid(child, &status, 0) != child || status != 0)
        return 1;
    printf("processes: %llu of %d readings\n", (unsigned long long)good, ITEMS);
    return good == ITEMS ? 0 : 1;
}
