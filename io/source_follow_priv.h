/* Follow mode of the source `file`: files are read as they grow, by one instance
 * that sleeps until the kernel tells of a change. source_follow.c reads,
 * source_follow_watch.c knows which files there are, source_follow_state.c keeps
 * the positions that a restart goes on from. */
#ifndef BELT_IO_SOURCE_FOLLOW_PRIV_H
#define BELT_IO_SOURCE_FOLLOW_PRIV_H

#include "io/source_file_priv.h"

#define FOLLOW_FILES 4096u /* that are open, or of which messages are unsettled */
#define FOLLOW_NONE UINT32_MAX
#define FOLLOW_PRINT 256u      /* first bytes by which a file is known again */
#define FOLLOW_PASSED 0u       /* as a line: no length can be trusted from here on */
#define FOLLOW_LOOK 100000000u /* ns: positions are written this often at most */

enum follow_is {
    FOLLOW_FREE, /* the slot may be used again */
    FOLLOW_LIVE, /* under a path that is followed */
    FOLLOW_LEFT, /* not any more: renamed, replaced or deleted; its rest is read */
    FOLLOW_DONE  /* closed; messages of it are unsettled, with a state to be kept */
};

/* A hash of the first `size` bytes. */
struct follow_print {
    uint32_t size, hash;
};

struct follow_spot {
    uint64_t at, line; /* a byte of the file, and the number of the record that begins there */
};

struct follow_file { /* its path: conf->inputs[slot].path */
    enum follow_is is;
    int fd;
    uint64_t dev, ino;
    struct follow_spot next, settled;
    struct follow_print print;
    uint64_t hinted;    /* the kernel was told to read up to here */
    uint64_t seen;      /* bytes that were there at the last look */
    uint64_t quiet;     /* ns: nothing came since, and it is no longer under its path */
    uint32_t round;     /* how often it began again from 0 */
    uint32_t unsettled; /* frames */
    uint32_t scan;      /* of the last one that found it */
    uint32_t after;     /* slot of the file before it under its path; FOLLOW_NONE: none */
    bool ready;         /* there may be something to read */
    bool skipping;      /* inside a record over the limit */
    bool closed;        /* by its writer, after it was left */
};

/* Of a frame, at its last word of tickets: where its file goes on when it is settled. */
struct follow_mark {
    uint32_t file; /* slot + 1; 0: none */
    uint32_t round;
    struct follow_spot next;
};

struct follow_name {
    struct follow_name *next;
    char path[];
};

/* A line of the state file. */
struct follow_saved {
    uint64_t dev, ino;
    struct follow_print print;
    struct follow_spot next;
    char *path;
    bool found;
};

/* The frame source's work in hand: one slab of one file. */
struct follow_job {
    bool open, last; /* last: what has no end at the file's end is a record, too */
    uint32_t file, slab, at, have;
    uint64_t offset;     /* of the slab's first byte in the file */
    struct belt_cut cut; /* where records are no lines */
};

struct follow_saver {
    enum { SAVER_IDLE, SAVER_WRITES, SAVER_SYNCS } does;
    bool dirty;
    int fd;
    char *text;
    size_t size, room;
    uint64_t due; /* ns: not before */
    char *temporary;
};

struct follow {
    struct source_conf *conf;
    struct source_state *s;
    struct follow_file files[FOLLOW_FILES];
    int watches[FOLLOW_FILES]; /* of the kernel's, by slot; -1: none */
    uint32_t used;
    uint32_t turn; /* slot that is asked first */
    uint32_t scan;
    uint32_t unsettled; /* frames */
    struct follow_mark *marks;
    uint64_t mask;
    uint64_t chunk;
    int notify, timer, all; /* inotify, timerfd, and an epoll over them and the backend */
    bool rescan, first, polls;
    uint64_t armed, look; /* ns: the timer; when everything is looked at */
    uint64_t now;         /* of the scan under way */
    struct follow_job job;
    struct follow_saver saver;
    uint64_t rotated, truncated, passed; /* passed over: not readable, or packed */
    char means[128];
};

/* source_follow.c: what the part's functions do in this mode. */
int follow_prepare(struct source_conf *conf, struct belt_setup *setup, struct belt_error *err);
int follow_init(struct source_state *s, const struct belt_instance *in, struct belt_error *err);
void follow_fini(struct source_state *s);
int follow_fill(struct source_state *s, struct belt_fill *out, struct belt_error *err);
void follow_ack(struct follow *w, const struct belt_acked *acked);
/* Sets s->means: what happened so far. */
void follow_say(struct follow *w);

/* source_follow_records.c, where records are no lines: whether this text can be gone on
 * with: one ends or fails there, or it belongs to one that has failed; */
bool follow_has_record(const struct follow *w, bool skipping, const char *text, uint32_t have);
/* what the slab in hand holds of them; */
uint32_t follow_cut(struct follow *w, struct follow_file *file, struct belt_fill *out);
/* and where the first one begins that has no end yet. Without memory: the start. */
struct follow_spot follow_end_of_records(const struct source_conf *conf, int fd, uint64_t size);

/* source_follow_watch.c */
int follow_watch_open(struct follow *w, struct belt_error *err);
void follow_watch_close(struct follow *w);
/* What changed: sets `ready`, finds new files, lets go of old ones. */
void follow_look(struct follow *w, uint64_t now);
/* When it is worth another look without an event, ns. */
void follow_wake_at(struct follow *w, uint64_t at);
/* Be woken by the backend, too; only while it has something to do. */
void follow_wait_io(struct follow *w, bool on);
void follow_close_file(struct follow *w, uint32_t slot);

/* source_follow_state.c */
int follow_load(struct source_conf *conf, struct belt_error *err);
void follow_forget(struct source_conf *conf); /* what load found */
/* The line of this file, if there is one and the bytes are the same. */
struct follow_saved *follow_saved_of(struct source_conf *conf, const char *path, int fd,
                                     uint64_t dev, uint64_t ino);
struct follow_print follow_print_of(int fd, uint64_t size);
/* Goes on with writing positions. Negative: they cannot be kept. */
int follow_save(struct follow *w, uint64_t now, struct belt_error *err);
/* Here and now, at the end. */
void follow_save_last(struct follow *w);

#endif
