#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/tree.h"

/* A message is one line whatever user text went into it. A cut one says so and
 * ends on a whole character. */
static void tidy(char *text, size_t room, size_t wanted)
{
    if (wanted >= room) {
        size_t cut = room - 4;
        while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
            cut--;
        memcpy(text + cut, "...", 4);
    }
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at == 0x7f)
            *at = ' ';
}

static int fill(struct belt_error *err, int code, int config, const char *place, const char *format,
                va_list args)
{
    if (!err)
        return code;
    /* Not straight into err->text: it may be among the arguments. */
    struct belt_error made = { .code = code, .config = config };
    int used = place ? snprintf(made.text, sizeof made.text, "%s: ", place) : 0;
    size_t head = (size_t)used < sizeof made.text ? (size_t)used : sizeof made.text - 1;
    int rest = vsnprintf(made.text + head, sizeof made.text - head, format, args);
    tidy(made.text, sizeof made.text, (size_t)used + (size_t)(rest > 0 ? rest : 0));
    *err = made;
    return code;
}

int belt_error_set(struct belt_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fill(err, code, 0, NULL, format, args);
    va_end(args);
    return rc;
}

int belt_error_config(struct belt_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fill(err, -EINVAL, 1, NULL, format, args);
    va_end(args);
    return rc;
}

int belt_node_error(struct belt_error *err, const struct belt_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = fill(err, -EINVAL, 1, node ? belt_node_place(node) : NULL, format, args);
    va_end(args);
    return rc;
}
