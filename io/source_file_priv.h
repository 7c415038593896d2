/* The source `file`: what its three files share. source_file.c knows which
 * inputs there are and cuts them into chunks, source_file_read.c reads regular
 * files chunk by chunk, source_file_stream.c reads what cannot be cut. */
#ifndef BELT_IO_SOURCE_FILE_PRIV_H
#define BELT_IO_SOURCE_FILE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/headers_priv.h"
#include "core/part.h"
#include "io/backend_priv.h"
#include "io/records_priv.h"
#include "io/scan_priv.h"
#include "io/source_unpack_priv.h"

#define SOURCE_DEPTH 16 /* most chunks read ahead */
#define SOURCE_PAGE 4096u
#define SOURCE_STREAM 0x80000000u /* in belt_fill.file: `place` counts lines, not bytes */

struct source_input {
    char *path; /* "stdin" for "-" */
    int fd;     /* -1: not open */
    bool stream, is_stdin;
    enum source_pack pack;
    bool direct;    /* past the page cache */
    uint64_t size;  /* when opened; what is appended later is not read */
    uint64_t first; /* number of its first chunk */
    /* Where records are no lines (source_file_records.c): so many of its chunks know where
     * the records of the next one begin, and there they do. */
    uint64_t handed, begins;
    uint64_t hinted; /* the kernel was told to read up to here */
    /* source_line_of(): newlines before the end of each step that was counted through. */
    uint64_t *lines, steps;
};

/* Settings first, then what open() finds. Read-only after open but for `next`. */
struct source_conf {
    struct belt_texts paths;
    const struct belt_node *records;
    uint64_t max_record, chunk;
    int64_t depth;
    bool single;               /* one instance takes all inputs in order: there is a stream */
    struct belt_records kinds; /* what `records` says */
    struct belt_header_use headers;
    uint64_t waits; /* of the instances, a list of struct source_wait */
    struct source_input *inputs;
    uint32_t count;
    uint64_t chunks, bytes;
    int compression;  /* enum source_pack */
    int missing;      /* 1: passed over */
    int direct;       /* enum source_direct */
    uint32_t directs; /* inputs that are read so */
    uint64_t max_window;
    /* Follow mode. */
    bool follow;
    int begin, watch; /* enum source_begin; 1: poll */
    const char *state;
    uint64_t rotated_wait;
    bool resumes; /* positions of an earlier run were read: */
    struct follow_saved *saved;
    size_t saved_used;
    struct follow_name *names;
    struct follow *followed; /* its instance's; NULL: it does not run */
    char means[128];
    bool lone;        /* the first path is a packed file */
    bool packed;      /* one of the inputs is, or may turn out to be */
    uint64_t counted; /* bytes that were looked through for numbers of lines */
    char apart[128];  /* the word that all instances write, on a line of its own */
    uint64_t next;    /* chunk to be claimed next, by any instance */
    uint64_t over;    /* instances that have nothing left */
    char apart_too[128];
};

enum source_direct { SOURCE_BUFFERED, SOURCE_DIRECT, SOURCE_TRY_DIRECT };
enum source_begin { SOURCE_AT_START, SOURCE_AT_END };

enum job_state { JOB_READING, JOB_READ, JOB_STREAM };

/* A chunk in its slab. Positions are bytes from the start of the slab. */
struct source_job {
    enum job_state state;
    bool begun; /* the start of its first record is known */
    bool torn;  /* the file ended early, or could not be read */
    bool lone;  /* a stream that is one chunk, however many slabs it takes */
    bool bare;  /* its next slab is still to be had */
    uint32_t slab, input;
    uint64_t number;     /* of the chunk, over all inputs */
    uint64_t offset;     /* of the chunk in its file */
    uint32_t text;       /* where the chunk's first byte lies */
    uint32_t from;       /* where the read under way began */
    uint32_t have, want; /* bytes lie before `have`; a read was asked for up to `want` */
    uint32_t at, stop;   /* the next record; records that begin at `stop` are not ours */
    uint32_t least;      /* no complete record ends before: searched already */
    /* Of records that are no lines: */
    struct belt_cut cut, ahead; /* what was delivered; what was looked at for the next chunk */
    bool heads;                 /* its first record is the file's header, and still to be seen */
    bool handed;                /* the next chunk was told where its records begin */
    bool unfinished;            /* of a stream: there is more in the slab than went out */
};

struct source_state {
    struct source_conf *conf;
    struct belt_backend *backend;
    const char *means; /* its name, for as long as the state lives */
    belt_scan_fn *scan;
    struct source_wait *wait; /* what others wake us by */
    bool waits_for_chunk;     /* for the hand-over to the first of our chunks */
    struct belt_cut cut;      /* of the stream under way */
    bool heads;               /* its first record is its header, and still to be seen */
    char *arena;
    uint32_t slab_size;
    uint32_t *free; /* slabs nobody uses, the next one last */
    uint32_t free_used;
    struct source_job jobs[SOURCE_DEPTH]; /* ring: jobs_used from `head`, in order of claim */
    uint32_t head, jobs_used;
    bool ahead;    /* reads do not end at once: keep `depth` under way */
    uint32_t cold; /* chunks for which the kernel is told what comes */
    bool stopped, exhausted;
    /* One instance over streams: the input being claimed, and where in it. */
    uint32_t input;
    uint64_t input_at, single_next;
    /* The stream under way. */
    char *carry; /* the record begun in the last slab, still lying there */
    uint32_t carry_size;
    uint64_t line;                /* number of the next record, from 1 */
    bool skipping, ended;         /* inside a record over the limit; nothing more comes */
    bool torn;                    /* for what follows cannot be read */
    bool waits;                   /* for the stream's descriptor */
    struct belt_error failed;     /* first range that could not be read; code 0: none */
    struct follow *follow;        /* NULL: files are read to their ends */
    struct source_unpack *unpack; /* reads what cannot be cut; NULL: there is nothing such */
    uint32_t instances;
    bool told_over;    /* counted in conf->over */
    uint64_t consumed; /* bytes; written here only, read by the progress line */
};

static inline char *source_slab(const struct source_state *s, uint32_t slab)
{
    return s->arena + (size_t)slab * s->slab_size;
}

static inline struct source_job *source_job_at(struct source_state *s, uint32_t i)
{
    return &s->jobs[(s->head + i) % SOURCE_DEPTH];
}

/* source_file_inputs.c: calls fn for every path in the order of the setting, a glob's in its
 * sorted order, or as it is written when it matches nothing. */
typedef int source_path_fn(struct source_conf *conf, const char *path, struct belt_error *err);
int source_each_path(struct source_conf *conf, source_path_fn *fn, struct belt_error *err);
int source_look(struct source_conf *conf, const char *path, struct belt_error *err);
/* Of what is set, not of what a pattern finds; `node`: the source's settings. */
int source_refuse_folders(const struct source_conf *conf, const struct belt_node *node,
                          struct belt_error *err);
int source_open(void *conf, struct belt_error *err);
void source_close(void *conf);
/* Its descriptor, for reads of any place and size from now on. */
int source_buffered(struct source_input *input);

/* source_file.c: the next chunk into job->input, number, offset and state; false: none left. */
bool source_claim(struct source_state *s, struct source_job *job);

/* source_file_lines.c: the number of the line that this byte of an input lies in. Bytes are
 * looked through once, and of any later question less than a step again. */
#define SOURCE_LINES_STEP (UINT64_C(64) << 10)
uint64_t source_line_of(struct source_conf *conf, uint32_t file, uint64_t place);

/* source_file_read.c */
int source_fill(void *state, struct belt_fill *out, struct belt_error *err);
/* Where text may start in a slab, so that it lies as in the file modulo a page. */
uint32_t source_text_at(const struct source_state *s, uint32_t slab);
#define SOURCE_TORN "the file was truncated or unreadable inside this record"
void source_mark(struct belt_fill *out, uint32_t i, const char *reason);
/* Cuts spans over the limit and marks them as failed. */
void source_limit(const struct source_state *s, struct belt_fill *out, uint32_t count);
/* Asks for more of the file, so that more of the record at `at` can be seen. */
void source_extend(struct source_state *s, struct source_job *job, uint32_t at);
/* Ends the head job: its slab and its chunk are complete with this frame. */
void source_job_end(struct source_state *s, struct belt_fill *out);

/* source_file_records.c: what is no lines. A chunk's records into `out`: none where more has to
 * be read or waited for; */
uint32_t source_cut_chunk(struct source_state *s, struct source_job *job, struct belt_fill *out);
/* a stream's, those that are there; */
uint32_t source_cut_stream(struct source_state *s, struct source_job *job, struct belt_fill *out);
/* and the hand-overs of the chunks that have been read, for other instances wait for them. */
void source_hand_over(struct source_state *s);
int source_wait_open(struct source_state *s, struct belt_error *err);
void source_wait_over(struct source_state *s);
int source_wait_fd(const struct source_state *s);
void source_waits_close(struct source_conf *conf);

/* source_file_stream.c */
static inline bool source_is_stream(const struct source_input *input)
{
    return input->stream || input->pack != SOURCE_PLAIN;
}
void source_stream_begin(struct source_state *s, struct source_job *job);
int source_stream_fill(struct source_state *s, struct source_job *job, struct belt_fill *out);

#endif
