/* Types of fields as settings name them: { name: text | int | decimal(2) | float }. */
#ifndef BELT_TYPE_PRIV_H
#define BELT_TYPE_PRIV_H

#include "core/part.h"
#include "steps/number_priv.h"

enum { BELT_TYPE_SKIP = 1 };

/* 0, or BELT_TYPE_SKIP for `skip` where it may be, or negative with err set. */
int belt_type_read(const struct belt_node *node, const char *field, bool may_skip,
                   enum belt_type *type, unsigned *digits, struct belt_error *err);

/* The column that the setting `setting` names, which is a text; `done` says what happens to
 * it: "split". */
int belt_text_field(struct belt_setup *setup, const char *setting, const char *name,
                    const char *done, struct belt_error *err);

/* Puts the value that a text has into row i of a column of this type; a text's span is
 * `span`, from the column's base. */
enum belt_flaw belt_type_store(const struct belt_column_info *info, struct belt_column *to,
                               uint32_t i, const char *text, struct belt_span span);

#endif
