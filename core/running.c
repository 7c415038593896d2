/* The pipelines of this process that run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/pipeline_priv.h"
#include "core/stages.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct belt_pipeline *first; /* under `lock`, in the order of their starts */

void belt_running_add(struct belt_pipeline *p)
{
    pthread_mutex_lock(&lock);
    struct belt_pipeline **at = &first;
    while (*at)
        at = &(*at)->next;
    *at = p;
    p->next = NULL;
    p->listed = true;
    pthread_mutex_unlock(&lock);
}

void belt_running_remove(struct belt_pipeline *p)
{
    pthread_mutex_lock(&lock);
    for (struct belt_pipeline **at = &first; p->listed && *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            p->listed = false;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* Nobody may have waited for it yet. */
static bool runs(const struct belt_pipeline *p)
{
    struct belt_engine_run *run = p->run;
    pthread_mutex_lock(&run->lock);
    bool left = run->lanes_left == run->lanes_used;
    pthread_mutex_unlock(&run->lock);
    return !left;
}

size_t belt_pipelines_running(char (*names)[BELT_NAME], size_t room)
{
    size_t count = 0;
    pthread_mutex_lock(&lock);
    for (const struct belt_pipeline *p = first; p; p = p->next) {
        if (!runs(p))
            continue;
        if (count < room)
            snprintf(names[count], BELT_NAME, "%s", p->spec->name);
        count++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

int belt_pipeline_find(struct belt_pipeline **out, const char *name, struct belt_error *err)
{
    int found = 0;
    pthread_mutex_lock(&lock);
    for (struct belt_pipeline *p = first; p; p = p->next)
        if (strcmp(p->spec->name, name) == 0 && runs(p)) {
            *out = p;
            found++;
        }
    pthread_mutex_unlock(&lock);
    if (!found)
        return belt_error_set(err, -ENOENT, "no pipeline '%s' runs in this process", name);
    if (found > 1)
        return belt_error_set(err, -ENOTUNIQ, "%d pipelines '%s' run in this process", found, name);
    return 0;
}
