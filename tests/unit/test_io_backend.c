/* Both backends behind the seam, and the sinks and sources that are small. */
#include "io_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "io/backend_priv.h"

extern const struct belt_source belt_source_counter;
extern const struct belt_sink belt_sink_stdout, belt_sink_null;

TestSuite(io_backend, .init = io_make_directory, .fini = io_remove_directory);

static struct belt_backend *backend_by(const char *name, uint32_t depth)
{
    struct belt_backend *backend;
    struct belt_error err;
    if (belt_backend_open(&backend, name, depth, &err) < 0)
        cr_skip("%s", err.text);
    return backend;
}

static struct belt_io_done one(struct belt_backend *backend)
{
    struct belt_io_done done = { 0 };
    cr_assert_eq(backend->ops->reap(backend, &done, 1, true), 1);
    return done;
}

static void expect_round_trip(const char *name)
{
    struct belt_backend *backend = backend_by(name, 2);
    int fd = open(io_path("a"), O_RDWR | O_CREAT, 0600);
    char *page = aligned_alloc(4096, 4096);
    backend->ops->lend(backend, page, 4096);
    cr_assert_eq(backend->ops->write(backend, fd, "hello", 5, 3, 11), 0);
    struct belt_io_done done = one(backend);
    cr_assert(done.cookie == 11 && done.result == 5);
    cr_assert_eq(backend->ops->fsync(backend, fd, 12), 0);
    cr_assert_eq(one(backend).result, 0);
    cr_assert_eq(backend->ops->read(backend, fd, page, 100, 4, 13), 0);
    done = one(backend);
    cr_assert(done.cookie == 13 && done.result == 4 && memcmp(page, "ello", 4) == 0);
    char outside[8];
    cr_assert_eq(backend->ops->read(backend, fd, outside, 8, 4, 14), 0);
    cr_assert_eq(one(backend).result, 4);
    cr_assert_eq(backend->ops->read(backend, -1, page, 1, 0, 15), 0);
    cr_assert_eq(one(backend).result, -EBADF);
    cr_assert_eq(backend->in_flight, 0);
    backend->ops->destroy(backend);
    free(page);
    close(fd);
}

Test(io_backend, io_uring_reads_what_it_wrote)
{
    expect_round_trip("io_uring");
}

Test(io_backend, posix_reads_what_it_wrote)
{
    expect_round_trip("posix");
}

static void expect_refusal_when_full(const char *name)
{
    struct belt_backend *backend = backend_by(name, 2);
    int fd = open("/dev/zero", O_RDONLY);
    char bytes[3];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(backend->ops->read(backend, fd, &bytes[i], 1, 0, 0), 0);
    cr_assert_eq(backend->ops->read(backend, fd, &bytes[2], 1, 0, 0), -EBUSY);
    cr_assert_eq(backend->in_flight, 2);
    backend->ops->destroy(backend);
    close(fd);
}

Test(io_backend, io_uring_takes_no_more_than_its_depth)
{
    expect_refusal_when_full("io_uring");
}

Test(io_backend, posix_takes_no_more_than_its_depth)
{
    expect_refusal_when_full("posix");
}

/* Nobody ever reads the pipe: the write can only be cancelled. */
Test(io_backend, ends_with_a_write_that_cannot_end, .timeout = 10)
{
    struct belt_backend *backend = backend_by("io_uring", 2);
    static char much[1 << 20];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(backend->ops->write(backend, ends[1], much, sizeof much, BELT_IO_STREAM, 1), 0);
    backend->ops->destroy(backend);
}

Test(io_backend, needs_no_locked_memory)
{
    struct rlimit none = { 0, 0 };
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    if (getuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    struct belt_backend *backend = backend_by("auto", 2);
    char *page = aligned_alloc(4096, 4096);
    int fd = open("/dev/zero", O_RDONLY);
    backend->ops->lend(backend, page, 4096);
    cr_assert_eq(backend->ops->read(backend, fd, page, 4096, 0, 1), 0);
    cr_assert_eq(one(backend).result, 4096);
    backend->ops->destroy(backend);
    free(page);
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
}

Test(io_backend, auto_is_posix_where_io_uring_is_refused)
{
    struct rlimit few = { 6, 6 }; /* descriptors: none is left for a ring */
    struct belt_backend *backend;
    struct belt_error err;
    while (open("/dev/null", O_RDONLY) < 5)
        ;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    cr_assert_lt(belt_backend_open(&backend, "io_uring", 2, &err), 0);
    cr_assert_not_null(strstr(err.text, "io_uring: this machine refuses it"), "%s", err.text);
    cr_assert_eq(belt_backend_open(&backend, "auto", 2, &err), 0);
    cr_assert_str_eq(backend->ops->name, "posix");
    backend->ops->destroy(backend);
}

Test(io_backend, refuses_a_name_it_does_not_know)
{
    struct belt_backend *backend;
    struct belt_error err;
    cr_assert_eq(belt_backend_open(&backend, "aio", 2, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "aio"));
}

/* ---- stdout and null ----------------------------------------------------------- */

static struct belt_batch batch_of(const char *bytes)
{
    return (struct belt_batch){ .size = sizeof(struct belt_batch),
                                .count = 1,
                                .bytes = bytes,
                                .bytes_size = strlen(bytes),
                                .key = "" };
}

/* Standard output is `to` while the sink writes header and rows. What batch() returned. */
static int write_to_stdout(int to, struct belt_error *err)
{
    struct io_part part;
    void *state = calloc(1, belt_sink_stdout.part.state_size);
    struct belt_instance in = {
        .size = sizeof in, .header = "h\n", .header_size = 2, .backend = "posix"
    };
    struct belt_batch batch = batch_of("a\n");
    int before = dup(1);
    cr_assert_eq(io_read(&part, &belt_sink_stdout.part, "{}"), 0);
    cr_assert_eq(belt_sink_stdout.part.init(state, part.conf, &in, err), 0);
    dup2(to, 1);
    int rc = belt_sink_stdout.batch(state, &batch, err);
    rc = rc ? rc : belt_sink_stdout.batch(state, &batch, err);
    dup2(before, 1);
    belt_sink_stdout.part.fini(state, part.conf);
    io_free(&part);
    free(state);
    return rc;
}

Test(io_backend, stdout_gets_header_and_rows)
{
    struct belt_error err;
    char got[16] = "";
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write_to_stdout(ends[1], &err), 0);
    cr_assert_eq(read(ends[0], got, sizeof got - 1), 6);
    cr_assert_str_eq(got, "h\na\na\n");
}

Test(io_backend, stdout_without_a_reader_is_an_error_and_no_signal)
{
    struct belt_error err;
    int ends[2];
    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_assert_eq(write_to_stdout(ends[1], &err), -EPIPE);
    cr_assert_str_eq(err.text, "write stdout: Broken pipe");
}

Test(io_backend, null_takes_everything)
{
    struct belt_batch batch = batch_of("a\n");
    cr_assert_eq(belt_sink_null.batch(NULL, &batch, NULL), 0);
}

/* ---- counter ------------------------------------------------------------------- */

Test(io_backend, counter_gives_each_number_once_over_instances)
{
    enum { COUNT = 200001 };
    struct io_part part;
    static uint8_t seen[COUNT];
    static struct belt_span spans[BELT_FRAME];
    void *states[2];
    char *arenas[2];
    cr_assert_eq(io_read(&part, &belt_source_counter.part, "{ count: 200001 }"), 0);
    cr_assert_eq(io_prepare(&part), 0);
    size_t size = (size_t)part.spec->sources[0].slab * part.spec->sources[0].slabs;
    for (uint32_t i = 0; i < 2; i++) {
        arenas[i] = malloc(size);
        struct belt_instance in = { .size = sizeof in,
                                    .arena = arenas[i],
                                    .index = i,
                                    .count = 2,
                                    .slab = part.spec->sources[0].slab,
                                    .slabs = part.spec->sources[0].slabs };
        states[i] = calloc(1, belt_source_counter.part.state_size);
        cr_assert_eq(belt_source_counter.part.init(states[i], part.conf, &in, NULL), 0);
    }
    for (int turn = 0, over = 0; over < 2; turn++) {
        struct belt_fill fill = { .size = sizeof fill, .spans = spans, .most = BELT_FRAME };
        int count = belt_source_counter.fill(states[turn % 2], &fill, NULL);
        over = count == BELT_FILL_END ? over + 1 : 0;
        for (int k = 0; k < count; k++) {
            uint64_t number;
            cr_assert_eq(spans[k].size, 8);
            memcpy(&number, fill.base + spans[k].at, 8);
            cr_assert_lt(number, COUNT);
            cr_assert_eq(seen[number]++, 0);
        }
        if (count >= 0)
            belt_source_counter.recycle(states[turn % 2], fill.slab);
    }
    cr_assert_null(memchr(seen, 0, COUNT));
    for (int i = 0; i < 2; i++) {
        free(arenas[i]);
        free(states[i]);
    }
    io_free(&part);
}
