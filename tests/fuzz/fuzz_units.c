/* Sizes, times and whole numbers of the configuration: what is taken is written back as the
 * same, what is not is refused in words. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), out[BELT_UNIT_ROOM];
    struct belt_error err = { 0 };
    uint64_t value, again = 0;
    int64_t number;
    if (belt_parse_size(text, &value, &err) == 0)
        FUZZ_CHECK(belt_parse_size(belt_format_size(value, out), &again, &err) == 0 &&
                       again == value,
                   "%s is %s", text, out);
    else
        FUZZ_CHECK(err.text[0], "refused without words");
    if (belt_parse_time(text, &value, &err) == 0)
        FUZZ_CHECK(belt_parse_time(belt_format_time(value, out), &again, &err) == 0 &&
                       again == value,
                   "%s is %s", text, out);
    if (belt_parse_int(text, &number, &err) == 0)
        FUZZ_CHECK(number == (int64_t)strtoll(text, NULL, 10), "%s", text);
    free(text);
    return 0;
}
