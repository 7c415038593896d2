/* The source `push`: a bounded queue of messages between any thread and a lane. */
#ifndef BELT_PUSH_PRIV_H
#define BELT_PUSH_PRIV_H

#include "core/control.h"

#define BELT_PUSH_FIELDS 16

/* What became of a message, told once, by the thread that settled or gave it up. */
struct belt_verdict {
    int outcome;        /* enum belt_outcome */
    const char *reason; /* why it failed, or "" */
    const char *option; /* of belt_configure_ack(), or "" */
};
struct belt_receipt {
    void (*tell)(struct belt_receipt *receipt, const struct belt_verdict *verdict);
};

struct belt_push_field {
    const char *name;
    struct belt_column_info info;
    int column;
};

/* A message on its way lies as [slots][payload][texts]: a slot of 8 bytes for its flags and
 * for each field: the number, or where the text is from the payload on, and its size. */
struct belt_push_fields {
    struct belt_push_field at[BELT_PUSH_FIELDS];
    uint32_t used;
};

/* fields: { user: text, price: decimal(2) } */
int belt_push_fields_read(struct belt_push_fields *fields, const struct belt_node *node,
                          struct belt_setup *setup, struct belt_error *err);
/* Bytes of a message; negative, err set: a field is not known, or of another type. */
int64_t belt_push_size(const struct belt_push_fields *fields, const struct belt_message *message,
                       struct belt_error *err);
void belt_push_write(const struct belt_push_fields *fields, const struct belt_message *message,
                     char *to);
static inline uint32_t belt_push_slots(const struct belt_push_fields *fields)
{
    return 8 + fields->used * 8;
}
/* Where a message with this payload begins, and its size. */
struct belt_span belt_push_extent(const struct belt_push_fields *fields, const char *base,
                                  struct belt_span payload);
/* Sets the fields' columns from what lies before the payloads. */
void belt_push_load(const struct belt_push_fields *fields, struct belt_view *view);

extern const struct belt_source belt_source_push;
/* As belt_pipeline_push(), on the part's conf; `receipts`: NULL, or one for each. */
int64_t belt_push_give(void *conf, const struct belt_message *messages, uint32_t count,
                       struct belt_receipt *const *receipts, uint64_t wait_ns,
                       struct belt_error *err);
void belt_push_end(void *conf);

#endif
