/* Frames between stages: rows and keys in a frame, marks, pools. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/edge_priv.h"
#include "rings/mem.h"

#define CAPACITY 256

struct edge {
    struct belt_mem mem;
    struct belt_row_out out;
    struct belt_row_in in;
};

static struct edge edge_new(uint32_t slots)
{
    struct edge e = { 0 };
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = BELT_SPSC,
                                   .items = slots,
                                   .item_size = (uint32_t)belt_row_frame_size(CAPACITY) };
    cr_assert_eq(belt_mem_map(&e.mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE), 0);
    cr_assert_eq(belt_ring_format(e.mem, &conf), 0);
    cr_assert_eq(belt_tx_open(&e.out.tx, e.mem), 0);
    cr_assert_eq(belt_rx_open(&e.in.rx, e.mem), 0);
    e.out.capacity = CAPACITY;
    return e;
}

/* One row of `size` times `fill`; false: no room. */
static bool put(struct edge *e, uint32_t size, char fill, uint64_t word, uint64_t bit)
{
    struct belt_row_frame *frame = belt_row_out_room(&e->out, size, 0);
    if (!frame)
        return false;
    memset(frame->data + frame->bytes, fill, size);
    belt_row_add(frame, size, word, bit);
    return true;
}

Test(edge, keeps_rows_of_a_frame_next_to_each_other)
{
    struct edge e = edge_new(4);
    put(&e, 3, 'a', 0, 1);
    put(&e, 2, 'b', 0, 2);
    cr_assert(belt_row_out_flush(&e.out, 0, 0, 0));
    struct belt_row_frame *frame = belt_row_in_peek(&e.in);
    cr_assert_eq(frame->count, 2);
    cr_assert_eq(memcmp(frame->data, "aaabb", 5), 0);
    cr_assert_eq(frame->rows[1].at, frame->rows[0].at + frame->rows[0].size);
    belt_mem_unmap(&e.mem);
}

/* Three rows "ab" that nobody lists. */
static struct belt_row_frame *put_even(struct edge *e)
{
    struct belt_row_frame *frame = belt_row_out_rooms(&e->out, 3, 6, 0);
    cr_assert_not_null(frame);
    memcpy(frame->data, "ababab", 6);
    memset(frame->rows, 0xff, sizeof frame->rows);
    frame->row_size = 2;
    frame->count = 3;
    frame->bytes = 6;
    frame->runs[frame->runs_used++] = (struct belt_run){ 0, 7 };
    return frame;
}

Test(edge, lists_rows_of_one_size_when_another_comes)
{
    struct edge e = edge_new(4);
    struct belt_row_frame *frame = put_even(&e);
    cr_assert(put(&e, 5, 'x', 0, 8));
    cr_assert_eq(frame->row_size, 0);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(frame->rows[i].at, 2 * i);
        cr_assert_eq(frame->rows[i].size, i < 3 ? 2 : 5);
    }
    belt_mem_unmap(&e.mem);
}

Test(edge, forgets_the_size_of_rows_with_their_frame)
{
    struct edge e = edge_new(4);
    put_even(&e);
    cr_assert(belt_row_out_flush(&e.out, 0, 0, 0));
    cr_assert_eq(belt_row_in_peek(&e.in)->row_size, 2);
    cr_assert(put(&e, 1, 'x', 0, 1));
    cr_assert_eq(e.out.open->row_size, 0);
    belt_mem_unmap(&e.mem);
}

Test(edge, merges_tickets_of_one_word)
{
    struct edge e = edge_new(4);
    put(&e, 1, 'a', 7, 1);
    put(&e, 1, 'a', 7, 8);
    put(&e, 1, 'a', 9, 1);
    cr_assert_eq(e.out.open->runs_used, 2);
    cr_assert_eq(e.out.open->runs[0].mask, 9);
    cr_assert_eq(e.out.open->runs[1].word, 9);
    belt_mem_unmap(&e.mem);
}

Test(edge, publishes_a_frame_that_is_full_of_bytes)
{
    struct edge e = edge_new(4);
    put(&e, 200, 'a', 0, 1);
    cr_assert_null(belt_row_in_peek(&e.in));
    put(&e, 57, 'b', 0, 2);
    struct belt_row_frame *frame = belt_row_in_peek(&e.in);
    cr_assert_not_null(frame);
    cr_assert_eq(frame->count, 1);
    cr_assert_eq(e.out.open->bytes, 57);
    belt_mem_unmap(&e.mem);
}

Test(edge, publishes_a_frame_that_is_full_of_rows)
{
    struct edge e = edge_new(4);
    for (uint64_t i = 0; i <= BELT_FRAME; i++)
        cr_assert(put(&e, 0, 'a', i / 64, UINT64_C(1) << i % 64));
    struct belt_row_frame *frame = belt_row_in_peek(&e.in);
    cr_assert_eq(frame->count, BELT_FRAME);
    cr_assert_eq(e.out.open->count, 1);
    belt_mem_unmap(&e.mem);
}

Test(edge, has_no_room_when_no_frame_is_free)
{
    struct edge e = edge_new(2);
    for (int i = 0; i < 2; i++)
        cr_assert(put(&e, CAPACITY, 'a', 0, 1));
    cr_assert_not(put(&e, CAPACITY, 'a', 0, 1));
    belt_row_in_peek(&e.in);
    belt_row_in_release(&e.in);
    cr_assert(put(&e, CAPACITY, 'a', 0, 1));
    belt_mem_unmap(&e.mem);
}

Test(edge, keeps_a_refused_row_out_of_the_frame_before)
{
    struct edge e = edge_new(2);
    put(&e, CAPACITY, 'a', 0, 1);
    put(&e, CAPACITY, 'b', 0, 2);
    cr_assert_not(put(&e, 1, 'c', 0, 4));
    cr_assert_eq(belt_row_in_peek(&e.in)->runs[0].mask, 1);
    belt_row_in_release(&e.in);
    cr_assert_eq(belt_row_in_peek(&e.in)->runs[0].mask, 2);
    belt_mem_unmap(&e.mem);
}

Test(edge, sends_a_mark_with_the_last_rows)
{
    struct edge e = edge_new(4);
    put(&e, 1, 'a', 0, 1);
    cr_assert(belt_row_out_flush(&e.out, BELT_LAST_OF_CHUNK, 5, 0));
    struct belt_row_frame *frame = belt_row_in_peek(&e.in);
    cr_assert_eq(frame->flags, BELT_LAST_OF_CHUNK);
    cr_assert_eq(frame->chunk, 5);
    cr_assert_eq(frame->count, 1);
    belt_mem_unmap(&e.mem);
}

Test(edge, sends_a_mark_without_rows)
{
    struct edge e = edge_new(4);
    cr_assert(belt_row_out_flush(&e.out, BELT_EPOCH, 0, 3));
    struct belt_row_frame *frame = belt_row_in_peek(&e.in);
    cr_assert_eq(frame->count, 0);
    cr_assert_eq(frame->epoch, 3);
    belt_mem_unmap(&e.mem);
}

Test(edge, sends_nothing_without_rows_and_marks)
{
    struct edge e = edge_new(4);
    cr_assert(belt_row_out_flush(&e.out, 0, 0, 0));
    cr_assert_null(belt_row_in_peek(&e.in));
    belt_mem_unmap(&e.mem);
}

Test(edge, refuses_a_mark_when_no_frame_is_free)
{
    struct edge e = edge_new(2);
    for (int i = 0; i < 2; i++)
        cr_assert(belt_row_out_flush(&e.out, BELT_LAST_OF_CHUNK, 0, 0));
    cr_assert_not(belt_row_out_flush(&e.out, BELT_LAST_OF_CHUNK, 0, 0));
    belt_mem_unmap(&e.mem);
}

Test(edge, begins_every_frame_empty)
{
    struct edge e = edge_new(2);
    for (int i = 0; i < 4; i++) {
        put(&e, 10, 'a', 0, 1);
        cr_assert(belt_row_out_flush(&e.out, BELT_LAST_OF_CHUNK, 5, 0));
        struct belt_row_frame *frame = belt_row_in_peek(&e.in);
        cr_assert_eq(frame->count, 1);
        cr_assert_eq(frame->bytes, 10);
        cr_assert_eq(frame->runs_used, 1);
        belt_row_in_release(&e.in);
    }
    belt_mem_unmap(&e.mem);
}

/* ---- pools of input frames ---------------------------------------------------------- */

#define EACH 4

struct pool {
    struct belt_pool pool;
    struct belt_mem free;
    struct belt_feed feed;
    struct belt_intake intakes[2];
    struct belt_tx back[2];
    struct belt_lane *writer, *reader;
};

static struct belt_mem ring_of(uint32_t writers, uint32_t readers)
{
    struct belt_mem mem;
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = BELT_MPMC,
                                   .item_size = sizeof(uint32_t),
                                   .items = EACH,
                                   .writers = writers,
                                   .readers = readers };
    cr_assert_eq(belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_PRIVATE), 0);
    cr_assert_eq(belt_ring_format(mem, &conf), 0);
    return mem;
}

static void pool_new(struct pool *p)
{
    memset(p, 0, sizeof *p);
    p->pool.count = p->pool.each = EACH;
    p->pool.frames = calloc(EACH, sizeof(struct belt_input_frame));
    p->pool.ready = ring_of(1, 2);
    p->free = ring_of(2, 1);
    p->pool.free = &p->free;
    p->feed.pool = &p->pool;
    cr_assert_eq(belt_tx_open(&p->feed.tx, p->pool.ready), 0);
    cr_assert_eq(belt_rx_open(&p->feed.free, p->free), 0);
    for (int i = 0; i < 2; i++) {
        struct belt_intake *intake = &p->intakes[i];
        intake->pool = &p->pool;
        intake->writers = &p->writer;
        intake->free = &p->back[i];
        cr_assert_eq(belt_rx_open(&intake->rx, p->pool.ready), 0);
        cr_assert_eq(belt_tx_open(&p->back[i], p->free), 0);
    }
}

static void pool_free(struct pool *p)
{
    belt_mem_unmap(&p->pool.ready);
    belt_mem_unmap(&p->free);
    free(p->pool.frames);
}

static void send(struct pool *p, uint64_t chunk)
{
    struct belt_input_frame *frame = belt_feed_claim(&p->feed);
    cr_assert_not_null(frame);
    frame->chunk = chunk;
    belt_feed_publish(&p->feed);
}

Test(pool, gives_each_frame_to_one_reader)
{
    struct pool p;
    pool_new(&p);
    send(&p, 1);
    send(&p, 2);
    struct belt_input_frame *a = belt_intake_peek(&p.intakes[0]);
    struct belt_input_frame *b = belt_intake_peek(&p.intakes[1]);
    cr_assert_eq(a->chunk + b->chunk, 3);
    cr_assert_eq(belt_intake_peek(&p.intakes[0]), a, "the frame in hand stays");
    pool_free(&p);
}

Test(pool, has_no_frame_when_all_are_out)
{
    struct pool p;
    pool_new(&p);
    for (uint64_t i = 0; i < EACH; i++)
        send(&p, i);
    cr_assert_null(belt_feed_claim(&p.feed));
    pool_free(&p);
}

Test(pool, hands_a_released_frame_back_to_its_source)
{
    struct pool p;
    pool_new(&p);
    for (uint64_t i = 0; i < EACH; i++)
        send(&p, i);
    struct belt_input_frame *frame = belt_intake_peek(&p.intakes[1]);
    belt_intake_release(&p.intakes[1]);
    cr_assert_eq(belt_feed_reclaim(&p.feed), frame);
    cr_assert_null(belt_feed_reclaim(&p.feed));
    cr_assert_eq(belt_feed_claim(&p.feed), frame);
    pool_free(&p);
}

Test(pool, takes_frames_back_while_one_is_in_hand)
{
    struct pool p;
    pool_new(&p);
    send(&p, 1);
    struct belt_input_frame *out = belt_intake_peek(&p.intakes[0]);
    struct belt_input_frame *in_hand = belt_feed_claim(&p.feed);
    belt_intake_release(&p.intakes[0]);
    cr_assert_eq(belt_feed_reclaim(&p.feed), out, "its slab may be what the next fill waits for");
    cr_assert_eq(belt_feed_claim(&p.feed), in_hand);
    belt_feed_publish(&p.feed);
    cr_assert_eq(belt_feed_claim(&p.feed), out);
    pool_free(&p);
}

Test(pool, carries_more_frames_than_it_has)
{
    struct pool p;
    pool_new(&p);
    for (uint64_t i = 0; i < 10 * EACH; i++) {
        belt_feed_reclaim(&p.feed);
        send(&p, i);
        struct belt_intake *intake = &p.intakes[i % 2];
        cr_assert_eq(belt_intake_peek(intake)->chunk, i);
        belt_intake_release(intake);
    }
    pool_free(&p);
}

Test(pool, ends_for_a_reader_without_a_frame_in_hand)
{
    struct pool p;
    pool_new(&p);
    send(&p, 1);
    belt_close(&p.feed.tx);
    belt_intake_peek(&p.intakes[0]);
    cr_assert_not(belt_intake_ended(&p.intakes[0]));
    belt_intake_release(&p.intakes[0]);
    cr_assert(belt_intake_ended(&p.intakes[0]));
    cr_assert(belt_intake_ended(&p.intakes[1]));
    pool_free(&p);
}
