/* Processes die in the middle of things, and the queue goes on. What SIGKILL cuts
 * off comes back by belt_ring_reap(), which asks the kernel who is dead: no clock. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <beltway/ring.h>

static struct belt_mem mem;

static void die(void)
{
    kill(getpid(), SIGKILL);
}

/* Three items sent; four more claimed, and then nothing. */
static void writer_that_dies(void)
{
    struct belt_tx tx;
    if (belt_tx_open(&tx, mem) < 0) /* a child opens its own: the parent's is the parent's */
        _exit(1);
    for (uint64_t n = 1; n <= 3; n++)
        belt_push(&tx, &n, sizeof n);
    belt_claim(&tx, 4);
    die();
}

/* Looks at two items that it will never release. */
static void reader_that_dies(void)
{
    struct belt_rx rx;
    if (belt_rx_open(&rx, mem) < 0)
        _exit(1);
    belt_peek(&rx, 2);
    die();
}

static bool killed(void (*child)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        child();
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
}

static int read_some(struct belt_rx *rx, const char *when)
{
    int count = 0;
    printf("dying_peer: %s:", when);
    for (uint64_t n; belt_pop(rx, &n, sizeof n); count++)
        printf(" %llu", (unsigned long long)n);
    puts(count ? "" : " nothing");
    return count;
}

static bool reap(void)
{
    struct belt_reaped r;
    if (belt_ring_reap(mem, &r) < 0)
        return false;
    printf("dying_peer: reaped %u process: %u slots given up, %u items back\n", r.processes, r.gaps,
           r.returned);
    return r.processes == 1;
}

int main(void)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = 8, .kind = BELT_MPMC };
    struct belt_tx tx;
    struct belt_rx rx;
    uint64_t four = 4;

    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_SHARED) < 0 ||
        belt_ring_format(mem, &conf) < 0 || belt_tx_open(&tx, mem) < 0 ||
        belt_rx_open(&rx, mem) < 0)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* else the children would hold a copy of what we said */

    bool good = killed(writer_that_dies);
    good &= belt_push(&tx, &four, sizeof four); /* behind the hole, and nobody blocks */
    good &= read_some(&rx, "what the dead writer had published") == 3;
    good &= read_some(&rx, "behind its claim, which nobody fills") == 0;
    good &= reap() && read_some(&rx, "after the reaping") == 1;

    for (uint64_t n = 5; n <= 7; n++)
        good &= belt_push(&tx, &n, sizeof n);
    good &= killed(reader_that_dies);
    good &= reap() && read_some(&rx, "with those of the dead reader") == 3;
    return good ? 0 : 1;
}
