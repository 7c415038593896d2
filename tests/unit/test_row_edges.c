#include <criterion/criterion.h>
#include <string.h>

#include "core/partition_priv.h"
#include "core/row_edges_priv.h"

/* Texts of one size, or of sizes from 0 to 19, in a padded buffer. */
struct texts {
    char bytes[2048 + 2 * BELT_PAD];
    struct belt_span spans[64];
};

static void fill(struct texts *texts, uint32_t size, bool even)
{
    for (uint32_t i = 0; i < sizeof texts->bytes; i++)
        texts->bytes[i] = (char)(i * 37 + size);
    for (uint32_t k = 0, at = BELT_PAD; k < 64; k++, at += 31)
        texts->spans[k] = (struct belt_span){ at, even ? size : (size + k) % 20 };
}

static void chooses_as_one_by_one(belt_row_edges_fn *edges_of)
{
    const uint64_t masks[] = { UINT64_MAX, 1, UINT64_C(1) << 63, UINT64_C(0x9e3779b97f4a7c15) };
    static struct texts texts;
    for (uint32_t n = 0; n < 20 * 2 * 4 * 7; n++) {
        uint32_t size = n % 20, instances = 1 + n / 160;
        uint64_t mask = masks[n / 40 % 4];
        uint8_t edges[64];
        fill(&texts, size, n / 20 % 2);
        memset(edges, 255, sizeof edges);
        edges_of(texts.spans, texts.bytes, mask, instances, edges);
        for (uint32_t k = 0; k < 64; k++) {
            const char *text = texts.bytes + texts.spans[k].at;
            uint32_t edge = belt_edge_of(belt_hash(text, texts.spans[k].size), instances);
            cr_assert_eq(edges[k], mask >> k & 1 ? edge : 255, "text %u of %u bytes", k, size);
        }
    }
}

Test(row_edges, are_those_of_each_text_by_itself)
{
    chooses_as_one_by_one(belt_row_edges_v2);
    if (belt_isa_v3())
        chooses_as_one_by_one(belt_row_edges_v3);
}
