/* The whole configuration: whatever the text is, it is taken or refused in words. */
#include "tests/fuzz/fuzz.h"

#include "core/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct belt_pipeline *p = NULL;
    struct belt_error err = { 0 };
    char *text = fuzz_text(data, size);
    FUZZ_CHECK(belt_pipeline_new(&p, &err) == 0, "%s", err.text);
    int rc = belt_pipeline_load_text(p, text, "fuzz.yaml", &err);
    if (rc == 0)
        rc = belt_pipeline_validate(p, &err);
    if (rc < 0)
        FUZZ_CHECK(memchr(err.text, 0, sizeof err.text) > (void *)err.text,
                   "refused without words");
    belt_pipeline_free(p);
    free(text);
    return 0;
}
