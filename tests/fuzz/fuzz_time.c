/* Times: the format in the first line, a time in each one after it. What is read can be written,
 * in RFC 3339 and back exactly. */
#include "tests/fuzz/fuzz.h"

#include "steps/time_priv.h"

static struct belt_time_format *format_of(const char *text, const struct belt_node *node)
{
    struct belt_time_format *format = NULL;
    struct belt_error err = { 0 };
    if (belt_time_format_new(&format, text, node, &err) < 0)
        FUZZ_CHECK(err.text[0], "refused without words");
    return format;
}

static void check(const struct belt_time_format *format, const struct belt_time_format *exact,
                  const char *text, uint32_t size)
{
    char out[BELT_TIME_ROOM];
    int64_t ns = 0, again = 0;
    if (belt_time_parse(format, text, size, &ns) != BELT_TIME_FINE)
        return;
    FUZZ_CHECK(belt_time_write(format, ns, out) <= sizeof out, "too long");
    size_t used = belt_time_write(exact, ns, out);
    FUZZ_CHECK(used >= 20 && used <= 30, "%zu bytes", used);
    FUZZ_CHECK(belt_time_parse(exact, out, (uint32_t)used, &again) == BELT_TIME_FINE, "%.*s",
               (int)used, out);
    FUZZ_CHECK(again == ns, "%lld, not %lld", (long long)again, (long long)ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t head = end ? (size_t)(end - data) : size;
    char *pattern = fuzz_text(data, head);
    struct belt_tree *tree = belt_tree_new();
    const struct belt_node *root = belt_tree_root(tree);
    struct belt_time_format *format = format_of(pattern, root), *exact = format_of("rfc3339", root);
    for (size_t at = head + 1; format && at < size;) {
        end = memchr(data + at, '\n', size - at);
        size_t stop = end ? (size_t)(end - data) : size;
        char *text = fuzz_text(data + at, stop - at);
        int64_t ns;
        check(format, exact, text, (uint32_t)(stop - at));
        belt_time_moment(text, &ns);
        free(text);
        at = stop + 1;
    }
    belt_time_format_free(format);
    belt_time_format_free(exact);
    belt_tree_free(tree);
    free(pattern);
    return 0;
}
