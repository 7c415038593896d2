/* Which line a byte lies in, asked in any order: newlines are counted once, and their
 * number kept for every step of a file. */
#include <stdlib.h>
#include <unistd.h>

#include "io/source_file_priv.h"

/* Newlines of [from, to), or of what is there of it. */
static uint64_t count_lines(struct source_conf *conf, struct source_input *input, uint64_t from,
                            uint64_t to)
{
    char block[16384];
    uint64_t lines = 0;
    while (from < to) {
        size_t want = to - from < sizeof block ? (size_t)(to - from) : sizeof block;
        ssize_t got = pread(source_buffered(input), block, want, (off_t)from);
        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++)
            lines += block[i] == '\n';
        from += (uint64_t)got;
        conf->counted += (uint64_t)got;
    }
    return lines;
}

/* Those that are whole before `place`; without memory for them, fewer. */
static void count_steps(struct source_conf *conf, struct source_input *input, uint64_t place)
{
    uint64_t want = place / SOURCE_LINES_STEP;
    uint64_t *grown = want > input->steps ? realloc(input->lines, want * sizeof *grown) : NULL;
    if (!grown)
        return;
    input->lines = grown;
    for (; input->steps < want; input->steps++) {
        uint64_t k = input->steps, at = k * SOURCE_LINES_STEP;
        grown[k] = (k ? grown[k - 1] : 0) + count_lines(conf, input, at, at + SOURCE_LINES_STEP);
    }
}

uint64_t source_line_of(struct source_conf *conf, uint32_t file, uint64_t place)
{
    struct source_input *input = &conf->inputs[file];
    count_steps(conf, input, place);
    uint64_t step = place / SOURCE_LINES_STEP;
    step = step < input->steps ? step : input->steps;
    uint64_t before = step ? input->lines[step - 1] : 0;
    return 1 + before + count_lines(conf, input, step * SOURCE_LINES_STEP, place);
}
