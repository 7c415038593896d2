/* What a worker may still do (processor settings `sandbox` and `memory`).
 *
 * The steps' own code is trusted, what a message makes it do is not: the cage is
 * half shut before open() and init(), so that nothing they leave behind can act
 * from outside it, and shut before the first message. docs/what-happens-to-a-message.md
 * has the whole list. */
#ifndef BELT_SANDBOX_PRIV_H
#define BELT_SANDBOX_PRIV_H

#include "core/spec_priv.h"

/* Whether this kernel can do what is asked for by `whose` settings; before anything is
 * opened. */
int belt_sandbox_check(const struct belt_worker_conf *conf, const char *whose,
                       struct belt_error *err);
/* In the worker, before open() and init(): memory is bounded; strict: no io_uring,
 * no new program, no new process, nothing of the engine's stdin and stdout. */
int belt_sandbox_begin(const struct belt_worker_conf *conf, struct belt_error *err);
/* Before the first message, strict: no file system, only the system calls listed. */
int belt_sandbox_shut(const struct belt_worker_conf *conf, struct belt_error *err);

#endif
