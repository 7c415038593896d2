/* The one file that knows simdjson: its first stage finds the tokens of a text, outside
 * and inside of strings told apart, and checks UTF-8, quotes and control characters, with
 * the vectors that the CPU has. Nothing here throws, and nothing allocates after open. */
#include "steps/json_index_priv.h"
#include "steps/utf8_priv.h"

#include <cerrno>
#include <memory>

#include <simdjson.h>

using simdjson::internal::dom_parser_implementation;

static dom_parser_implementation *impl_of(struct belt_json_index *index)
{
    return static_cast<dom_parser_implementation *>(index->impl);
}

int belt_json_index_open(struct belt_json_index *index, size_t longest)
{
    std::unique_ptr<dom_parser_implementation> impl;
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(longest, 1, impl) !=
        simdjson::SUCCESS)
        return -ENOMEM;
    index->at = impl->structural_indexes.get();
    index->impl = impl.release();
    return 0;
}

void belt_json_index_close(struct belt_json_index *index)
{
    delete impl_of(index);
    index->impl = nullptr;
}

enum belt_json_flaw belt_json_index_make(struct belt_json_index *index, const char *text,
                                         size_t size)
{
    dom_parser_implementation *impl = impl_of(index);
    auto code =
        impl->stage1(reinterpret_cast<const uint8_t *>(text), size, simdjson::stage1_mode::regular);
    index->count = impl->n_structural_indexes;
    switch (code) {
    case simdjson::SUCCESS: return BELT_JSON_OK;
    case simdjson::UTF8_ERROR: return BELT_JSON_UTF8;
    case simdjson::UNESCAPED_CHARS: return BELT_JSON_CONTROL;
    case simdjson::UNCLOSED_STRING: return BELT_JSON_UNCLOSED;
    case simdjson::EMPTY: return BELT_JSON_EMPTY;
    default: return BELT_JSON_LONG;
    }
}

bool belt_utf8_is(const char *text, size_t size)
{
    return simdjson::validate_utf8(text, size);
}
