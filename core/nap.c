#include "core/nap_priv.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Not FUTEX_PRIVATE: the other side is another process. The time-out is a net
 * under a lost wake, not how wakes work. */
void belt_nap(uint32_t *asleep)
{
    struct timespec most = { 0, 100000000 };
    syscall(SYS_futex, asleep, FUTEX_WAIT, 1, &most, NULL, 0);
    belt_nap_cancel(asleep);
}

void belt_nap_wake(uint32_t *asleep)
{
    belt_store_relaxed32(asleep, 0); /* relaxed: the kernel orders it before the wake */
    syscall(SYS_futex, asleep, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void belt_gate_wait(uint32_t *gate)
{
    /* A7, pairs with R7 in belt_gate_open(): what was written before; else a spare might
     * begin where its predecessor had begun. */
    while (belt_load_acquire32(gate))
        syscall(SYS_futex, gate, FUTEX_WAIT, 1, NULL, NULL, 0);
}

void belt_gate_open(uint32_t *gate)
{
    /* R7, pairs with A7 in belt_gate_wait(): who comes through sees what the opener left. */
    belt_store_release32(gate, 0);
    syscall(SYS_futex, gate, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
