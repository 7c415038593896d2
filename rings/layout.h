/* What lies in a ring's memory, and what each end keeps to itself; included by
 * ring.h. For reading and debugging: programs use the calls of ring.h. */
#ifndef BELT_LAYOUT_H
#define BELT_LAYOUT_H

#ifndef BELT_RING_H
#error "include ring.h instead"
#endif

#define BELT_RING_MAGIC UINT64_C(0x31676e6972746c62) /* "bltring1" */
#define BELT_RING_LAYOUT 2

/* Where one side's sleepers say that they sleep. Written by them alone and by
 * whoever wakes them: publishing reads a line that stays in every cache. */
struct belt_bell {
    uint32_t asleep; /* BELT_BELL_* bits; 0: nobody */
    uint32_t rung;   /* how often; the word that sleepers sleep on */
    uint64_t name;   /* of the abstract sockets behind belt_rx_fd(); 0: none */
};

/* A process: its pid in the low 22 bits (the kernel's limit), its start time in
 * clock ticks since boot above. 0: nobody. No two processes of one boot share it. */
typedef uint64_t belt_owner;

struct belt_ring {
    /* Set by belt_ring_format(), then read-only. */
    uint64_t magic;  /* BELT_RING_MAGIC, stored last */
    uint32_t layout; /* BELT_RING_LAYOUT */
    uint32_t kind, body, wait, flags;
    uint32_t slots;     /* power of two; in-band: lines of 64 bytes */
    uint32_t slot_size; /* bytes from slot to slot; in-band: from item to item in its line */
    uint32_t item_size;
    uint32_t writers, readers;
    uint32_t head_size;  /* bytes from here to the first slot (sharded: the first lane) */
    uint32_t owners;     /* words at owners_at */
    uint32_t owners_at;  /* bytes from here; see enum belt_owner_at below */
    uint32_t cursors_at; /* bytes from here: broadcast, a line pair per reader */
    uint64_t footprint;  /* bytes in all */
    uint64_t lane_size;  /* sharded: bytes from lane to lane, writer-major */
    /* SPSC, broadcast: the writer only; slots before it are readable. MPMC: a hint
     * where free slots begin. In-band: unused. */
    uint64_t published __attribute__((aligned(BELT_LINES)));
    uint64_t claimed; /* lossy: the writer only; slots before it minus `slots` may change */
    uint32_t closed;  /* writers that closed, each after its last item */
    /* SPSC: the reader only; slots before it are reusable. In-band: whole lines. MPMC:
     * unused. */
    uint64_t released __attribute__((aligned(BELT_LINES)));
    struct belt_bell readers_bell __attribute__((aligned(BELT_LINES)));
    struct belt_bell writers_bell __attribute__((aligned(BELT_LINES)));
    /* MPMC, by belt_ring_reap() only. */
    uint64_t reaps __attribute__((aligned(BELT_LINES))); /* readers that see it move start anew */
    belt_owner reaper;          /* who is at it; a dead one is followed by the next */
    uint32_t without_expedited; /* a process that membarrier cannot reach has it open */
    /* The owners' words, the cursors, then the slots follow. */
} __attribute__((aligned(BELT_LINES)));

/* Which word of owners_at is whose. SPSC, sharded, broadcast: writers first, then
 * readers. MPMC: processes; a claim names its process by this index + 1. */
enum { BELT_MPMC_OWNERS = 255 };

/* A broadcast reader's own place; the reader alone writes it. */
struct belt_cursor {
    uint64_t released;
    uint32_t left; /* enum belt_left: does the writer wait for it? */
} __attribute__((aligned(BELT_LINES)));

enum belt_left {
    BELT_GATES = 0, /* yes, from the start, before anybody opened it, and after a death */
    BELT_LEFT,      /* no: belt_rx_leave() */
    BELT_JOINING    /* yes, but where it stands may be lapped already: who opens it joins anew */
};

static_assert(offsetof(struct belt_ring, published) >= BELT_LINES, "geometry shares lines");
static_assert(offsetof(struct belt_ring, released) - offsetof(struct belt_ring, published) >=
                  BELT_LINES,
              "the two sides share lines");

/* Which code serves an end; chosen when it is opened. */
enum belt_way {
    BELT_WAY_SPANS = 0, /* SPSC spans, broadcast */
    BELT_WAY_INBAND,
    BELT_WAY_MPMC,
    BELT_WAY_MPMC_CRASH_UNSAFE,
    BELT_WAY_LOSSY,
    BELT_WAY_SHARDED
};

/* Whether what an end waits for comes as a flow or one by one (linger_priv.h). */
struct belt_flow {
    uint64_t seen;         /* our place when we last looked in vain */
    uint32_t stream, vain; /* how much of a flow; looks in vain in a row, to 2 */
};

/* The writing end and the reading end: each belongs to one thread, in memory
 * of its own process that no other thread writes. They hold a copy of the
 * geometry, so that a peer that scribbles over the ring's head cannot lead us
 * outside the slots. All fields are the library's own; slot_size (from slot to slot
 * of what claim and peek give), me and missed may be read. */
struct belt_tx {
    uint64_t next;  /* first ticket not yet published; MPMC: where to look for free slots */
    uint64_t limit; /* tickets before it are free, as last seen; in-band: in the line at hand */
    struct belt_ring *ring;
    char *first; /* slot 0 */
    uint32_t mask, slot_size, item_size;
    uint8_t way;  /* enum belt_way */
    uint8_t wait; /* enum belt_wait */
    bool closed;
    uint16_t me;               /* MPMC: our index + 1 among the owners; else the writer's number */
    uint16_t role;             /* our word's index among the owners */
    uint32_t claimed;          /* MPMC: slots claimed and not yet published */
    uint32_t readers;          /* broadcast: how many cursors gate us */
    uint32_t per_line;         /* in-band: items in a line */
    uint32_t linger;           /* room to wait for in a flow, in slots (in-band: lines); 0: never */
    uint32_t stretch;          /* spans: slots that are made ours at a time, for who claims fewer */
    bool touch;                /* the reader was well behind when last looked at */
    struct belt_flow flow;     /* of room */
    uint64_t room;             /* tickets before it are free, as last seen (broadcast: `limit`) */
    uint64_t *line;            /* in-band: the line at hand */
    uint32_t lane, lanes_used; /* sharded */
    uint32_t turn;             /* sharded: items that went to this lane without a break */
    uint32_t stride;           /* sharded: writers; from one of our own lanes to the next */
    uint64_t lane_size;        /* sharded: bytes */
    struct belt_tx *lanes;     /* sharded: one per reader; allocated by open, freed by leave */
    belt_owner owner;          /* us, or 0 under BELT_NO_ROLES */
    bool crowded;              /* others want our CPU, as belt_tx_wait() last saw */
};

struct belt_rx {
    uint64_t next;  /* first ticket not yet released; MPMC: where to look for filled slots */
    uint64_t limit; /* tickets before it are readable, as last seen */
    struct belt_ring *ring;
    char *first;
    uint64_t *released; /* our cursor in the ring: of the ring, or of this broadcast reader */
    uint32_t mask, slot_size, item_size;
    uint8_t way, wait;
    bool armed;
    uint16_t me, role;
    uint32_t taken;        /* MPMC: slots peeked and not yet released */
    uint32_t stream;       /* MPMC: slots taken since the ring was last found empty */
    uint32_t per_line;     /* in-band: items in a line */
    uint32_t linger;       /* how many to wait for in a flow, in slots (in-band: lines); 0: never */
    struct belt_flow flow; /* of items */
    uint64_t safe;         /* in-band: lines before it are full, as last seen */
    uint64_t *line;        /* in-band: the line at hand */
    uint64_t reaps;        /* MPMC: as last seen */
    uint64_t missed;       /* lossy: tickets that we were too slow for */
    uint32_t readers;      /* of the ring */
    uint32_t lane, lanes_used;
    uint64_t lane_size;    /* sharded: bytes */
    struct belt_rx *lanes; /* sharded: one per writer */
    belt_owner owner;
    int fd;          /* of belt_rx_fd(), or -1 */
    uint32_t fd_bit; /* ours in the bell */
    uint32_t turn;   /* sharded: items that came from this lane without a break */
    bool found;      /* by the last belt_rx_wait_any() */
    bool crowded;    /* others want our CPU, as belt_rx_wait() last saw */
};

/* `count` slots in a row, each slot_size bytes from the one before; the first
 * is ticket `ticket`. count 0: none. Tickets order the items of a ring; those of
 * an in-band ring are not dense (line number times 8, plus the place in it). */
struct belt_slots {
    void *first;
    uint32_t count;
    uint64_t ticket;
};

#endif
