/* Takes the place of rings/atomic.h (whose guard it defines) when the rings are
 * compiled for the explorer: the same names, each a step of the model that knows
 * where it stands in the source. Given to the compiler by -include, before
 * anything else. */
#ifndef BELT_ATOMIC_H
#define BELT_ATOMIC_H

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum model_kind {
    MODEL_LOAD,
    MODEL_STORE,
    MODEL_ADD,
    MODEL_OR,
    MODEL_AND,
    MODEL_EXCHANGE,
    MODEL_CAS,
    MODEL_FENCE,
    MODEL_MEMBARRIER,
    MODEL_FUTEX_WAIT,
    MODEL_FUTEX_WAKE
};

/* Orders, each of which a mutation may take away alone. */
enum { MODEL_ACQUIRE = 1, MODEL_RELEASE = 2, MODEL_ACQUIRE_FAILED = 4, MODEL_ORDERED = 8 };

/* One place in the source. All of them lie in one section, so that they are known
 * before any is reached. */
struct model_site {
    const char *file, *name;
    uint16_t line, kind, order;
    uint16_t same; /* the first site of this place: headers are compiled many times */
};

uint64_t model_step(const struct model_site *site, const void *at, unsigned width, uint64_t value,
                    void *expected);
uint64_t model_step_as(const struct model_site *site, unsigned kind, unsigned order, const void *at,
                       unsigned width, uint64_t value, void *expected);
void model_data_store(void *to, const void *from, size_t size);
void model_data_load(void *to, const void *from, size_t size);

#define MODEL_STEP(kind_, order_, name_, at, width, value, expected)                               \
    ({                                                                                             \
        static struct model_site model_here                                                        \
            __attribute__((section("model_sites"), used,                                           \
                           aligned(8))) = { __FILE__, name_, __LINE__, kind_, order_, 0 };         \
        model_step(&model_here, (at), (width), (value), (expected));                               \
    })

/* Functions, since a cast whose value nobody wants is warned of. */
static inline uint32_t model_32(uint64_t value)
{
    return (uint32_t)value;
}

static inline bool model_bool(uint64_t value)
{
    return value != 0;
}

enum { MODEL_ACQ_REL = MODEL_ACQUIRE | MODEL_RELEASE };

#define belt_load_relaxed(at) MODEL_STEP(MODEL_LOAD, 0, "load", at, 8, 0, NULL)
#define belt_load_acquire(at) MODEL_STEP(MODEL_LOAD, MODEL_ACQUIRE, "load", at, 8, 0, NULL)
#define belt_store_relaxed(at, v) (void)MODEL_STEP(MODEL_STORE, 0, "store", at, 8, v, NULL)
#define belt_store_release(at, v)                                                                  \
    (void)MODEL_STEP(MODEL_STORE, MODEL_RELEASE, "store", at, 8, v, NULL)
#define belt_fetch_add(at, v) MODEL_STEP(MODEL_ADD, MODEL_ACQ_REL, "add", at, 8, v, NULL)
#define belt_fetch_add_relaxed(at, v) MODEL_STEP(MODEL_ADD, 0, "add", at, 8, v, NULL)
#define belt_fetch_add_release(at, v) MODEL_STEP(MODEL_ADD, MODEL_RELEASE, "add", at, 8, v, NULL)
#define belt_fetch_or(at, v) MODEL_STEP(MODEL_OR, MODEL_ACQ_REL, "or", at, 8, v, NULL)
#define belt_fetch_and(at, v) MODEL_STEP(MODEL_AND, MODEL_ACQ_REL, "and", at, 8, v, NULL)
#define belt_exchange(at, v) MODEL_STEP(MODEL_EXCHANGE, MODEL_ACQ_REL, "exchange", at, 8, v, NULL)
#define belt_cas(at, expected, v)                                                                  \
    model_bool(                                                                                    \
        MODEL_STEP(MODEL_CAS, MODEL_ACQ_REL | MODEL_ACQUIRE_FAILED, "cas", at, 8, v, expected))

#define belt_load_relaxed32(at) model_32(MODEL_STEP(MODEL_LOAD, 0, "load", at, 4, 0, NULL))
#define belt_load_acquire32(at)                                                                    \
    model_32(MODEL_STEP(MODEL_LOAD, MODEL_ACQUIRE, "load", at, 4, 0, NULL))
#define belt_store_relaxed32(at, v) (void)MODEL_STEP(MODEL_STORE, 0, "store", at, 4, v, NULL)
#define belt_store_release32(at, v)                                                                \
    (void)MODEL_STEP(MODEL_STORE, MODEL_RELEASE, "store", at, 4, v, NULL)
#define belt_fetch_add32(at, v)                                                                    \
    model_32(MODEL_STEP(MODEL_ADD, MODEL_ACQ_REL, "add", at, 4, v, NULL))
#define belt_fetch_add_relaxed32(at, v) model_32(MODEL_STEP(MODEL_ADD, 0, "add", at, 4, v, NULL))
#define belt_fetch_add_release32(at, v)                                                            \
    model_32(MODEL_STEP(MODEL_ADD, MODEL_RELEASE, "add", at, 4, v, NULL))
#define belt_fetch_or_release32(at, v)                                                             \
    model_32(MODEL_STEP(MODEL_OR, MODEL_RELEASE, "or", at, 4, v, NULL))
#define belt_exchange_acquire32(at, v)                                                             \
    model_32(MODEL_STEP(MODEL_EXCHANGE, MODEL_ACQUIRE, "exchange", at, 4, v, NULL))
#define belt_fetch_or32(at, v) model_32(MODEL_STEP(MODEL_OR, MODEL_ACQ_REL, "or", at, 4, v, NULL))
#define belt_fetch_and32(at, v)                                                                    \
    model_32(MODEL_STEP(MODEL_AND, MODEL_ACQ_REL, "and", at, 4, v, NULL))
#define belt_exchange32(at, v)                                                                     \
    model_32(MODEL_STEP(MODEL_EXCHANGE, MODEL_ACQ_REL, "exchange", at, 4, v, NULL))
#define belt_cas32(at, expected, v)                                                                \
    model_bool(                                                                                    \
        MODEL_STEP(MODEL_CAS, MODEL_ACQ_REL | MODEL_ACQUIRE_FAILED, "cas", at, 4, v, expected))

#define MODEL_CAS_AS(order, at, width, expected, v)                                                \
    model_bool(MODEL_STEP(MODEL_CAS, order, "cas", at, width, v, expected))
#define belt_cas_relaxed(at, expected, v) MODEL_CAS_AS(0, at, 8, expected, v)
#define belt_cas_acquire(at, expected, v) MODEL_CAS_AS(MODEL_ACQUIRE, at, 8, expected, v)
#define belt_cas_release(at, expected, v) MODEL_CAS_AS(MODEL_RELEASE, at, 8, expected, v)
#define belt_cas_relaxed32(at, expected, v) MODEL_CAS_AS(0, at, 4, expected, v)

#define belt_copy memcpy
#define belt_data_store model_data_store
#define belt_data_load model_data_load

#define belt_fence_seq() (void)MODEL_STEP(MODEL_FENCE, MODEL_ORDERED, "fence", NULL, 0, 0, NULL)
/* Orders nothing between threads: what it is paired with, the membarrier, does. */
#define belt_fence_compiler() ((void)0)
#define belt_pause() ((void)0)

/* ---- what the rings ask of the system ------------------------------------------ */

/* futex and membarrier become steps; anything else is refused. */
long model_syscall(const struct model_site *site, long number, ...);
#define syscall(number, ...)                                                                       \
    ({                                                                                             \
        static struct model_site model_here                                                        \
            __attribute__((section("model_sites"), used,                                           \
                           aligned(8))) = { __FILE__,                                              \
                                            "membarrier",                                          \
                                            __LINE__,                                              \
                                            MODEL_MEMBARRIER,                                      \
                                            (number) == SYS_membarrier ? MODEL_ORDERED : 0,        \
                                            0 };                                                   \
        model_syscall(&model_here, number, __VA_ARGS__);                                           \
    })

/* Memory that is as it was at the start of every execution. */
void *model_calloc(size_t count, size_t size);
void model_free(void *at);

/* A process is a thread, its number one more; time stands still. */
struct pollfd;
struct timespec;
int model_getpid(void);
int model_open(const char *path, int flags, ...);
ssize_t model_read(int fd, void *to, size_t size);
int model_close(int fd);
int model_poll(struct pollfd *fds, unsigned long count, int timeout);
int model_clock_gettime(int clock, struct timespec *out);

/* A thread has one mailbox, which is its eventfd and its socket: what is sent or
 * written there is counted. What the kernel does with it is in one order for all. */
int model_eventfd(unsigned count, int flags);
ssize_t model_write(int fd, const void *from, size_t size);
int model_socket(int domain, int type, int protocol);
int model_bind(int fd, const struct sockaddr *address, socklen_t length);
ssize_t model_sendto(int fd, const void *from, size_t size, int flags,
                     const struct sockaddr *address, socklen_t length);
ssize_t model_recv(int fd, void *to, size_t size, int flags);
ssize_t model_getrandom(void *to, size_t size, unsigned flags);

#ifndef MODEL_ITSELF
#define calloc model_calloc
#define free model_free
#define getpid model_getpid
#define open model_open
#define read model_read
#define close model_close
#define poll model_poll
#define clock_gettime model_clock_gettime
#define eventfd model_eventfd
#define write model_write
#define socket model_socket
#define bind model_bind
#define sendto model_sendto
#define recv model_recv
#define getrandom model_getrandom
#endif

#endif
