/* A ring as one of the descriptors of an event loop, here beside a timer. */
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <beltway/ring.h>

enum { BURSTS = 20, BURST = 1000 };

static void *write_bursts(void *arg)
{
    struct belt_tx *tx = arg;
    const struct timespec rest = { .tv_nsec = 5 * 1000 * 1000 };
    uint64_t n = 0;
    for (int burst = 0; burst < BURSTS; burst++) {
        for (int i = 0; i < BURST; i++, n++)
            while (!belt_push(tx, &n, sizeof n))
                belt_tx_wait(tx, BELT_FOR_EVER);
        nanosleep(&rest, NULL);
    }
    belt_close(tx);
    return NULL;
}

static int watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };
    return fd < 0 ? fd : epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static uint64_t loop(struct belt_rx *rx, int epoll, int timer, uint64_t *ticks)
{
    struct epoll_event events[2];
    uint64_t next = 0, n, expired;
    while (!belt_rx_ended(rx)) {
        while (belt_pop(rx, &n, sizeof n))
            next += n == next;
        /* Armed, the next publish makes the descriptor readable. True: something
         * came before that, so nothing may wake us. Look, do not sleep. */
        int sleep = belt_rx_arm(rx) ? 0 : -1;
        int count = epoll_wait(epoll, events, 2, sleep);
        belt_rx_disarm(rx); /* while we are awake, publishing costs no system call */
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == timer && read(timer, &expired, sizeof expired) > 0)
                *ticks += expired;
    }
    return next;
}

int main(void)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = 8 };
    struct itimerspec every = { { 0, 10 * 1000 * 1000 }, { 0, 10 * 1000 * 1000 } };
    struct belt_mem mem;
    struct belt_tx tx;
    struct belt_rx rx;
    pthread_t writer;
    uint64_t ticks = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE) < 0 ||
        belt_ring_format(mem, &conf) < 0 || belt_tx_open(&tx, mem) < 0 ||
        belt_rx_open(&rx, mem) < 0)
        return 1;
    if (watch(epoll, belt_rx_fd(&rx)) < 0 || watch(epoll, timer) < 0 ||
        timerfd_settime(timer, 0, &every, NULL) < 0 ||
        pthread_create(&writer, NULL, write_bursts, &tx) != 0)
        return 1;
    uint64_t got = loop(&rx, epoll, timer, &ticks);
    pthread_join(writer, NULL);
    belt_rx_leave(&rx); /* closes its descriptor too */
    printf("epoll: %llu items and %s ticks in one loop\n", (unsigned long long)got,
           ticks ? "some" : "no");
    return got == (uint64_t)BURSTS * BURST && ticks ? 0 : 1;
}
