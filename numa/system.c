/* What the kernel says of this machine: the mask, sysfs, cgroups, devices. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "numa/pin.h"
#include "numa/topology_priv.h"

int belt_system_mask(struct belt_cpus *out, char *why, size_t room)
{
    int rc = belt_thread_cpus(0, out);
    if (rc < 0) {
        snprintf(why, room, "sched_getaffinity: %s", strerror(-rc));
        return rc;
    }
    if (belt_cpus_next(out, 0) >= 0)
        return 0;
    snprintf(why, room,
             "this process may only use CPUs from %d up: start it with taskset -c "
             "and CPUs below",
             BELT_CPUS);
    return -EINVAL;
}

/* The first line of a file; false: there is none. */
static bool read_line(const char *path, char *out, size_t room)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(out, (int)room, file) != NULL;
    fclose(file);
    return read;
}

void belt_system_list(struct belt_cpus *out, const char *path)
{
    static const struct belt_cpus none;
    char text[4096], why[1];
    *out = none;
    /* Unreadable text is as good as none: such sets only narrow what is chosen. */
    if (read_line(path, text, sizeof text) && text[0] != '\n' &&
        belt_cpus_parse(out, text, &none, why, sizeof why) < 0)
        *out = none;
}

/* ---- cgroups ------------------------------------------------------------------- */

static uint32_t thousandths(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota > LLONG_MAX / 1000)
        return 0;
    long long value = quota * 1000 / period;
    return value < 1 ? 1 : value > UINT32_MAX ? 0 : (uint32_t)value;
}

uint32_t belt_quota_of(const char *text)
{
    long long quota, period;
    return sscanf(text, "%lld %lld", &quota, &period) == 2 ? thousandths(quota, period) : 0;
}

static uint32_t quota_in(const char *root, const char *group, bool v2)
{
    char path[PATH_MAX], text[64], period[64];
    if (v2) {
        snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
        return read_line(path, text, sizeof text) ? belt_quota_of(text) : 0;
    }
    snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", root, group);
    if (!read_line(path, text, sizeof text))
        return 0;
    snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", root, group);
    if (!read_line(path, period, sizeof period))
        return 0;
    return thousandths(strtoll(text, NULL, 10), strtoll(period, NULL, 10));
}

/* The least of a group's own limit and those of all above it. */
static uint32_t least_quota(const char *root, char *group, bool v2)
{
    uint32_t least = 0;
    for (;;) {
        uint32_t quota = quota_in(root, group, v2);
        if (quota && (!least || quota < least))
            least = quota;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

/* "0::/user.slice/x" (v2), "4:cpu,cpuacct:/x" (v1). */
uint32_t belt_system_quota(void)
{
    char line[PATH_MAX];
    uint32_t least = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':'), *group;
        if (!controllers || !(group = strchr(controllers + 1, ':')))
            continue;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        bool v2 = !controllers[1];
        char names[256];
        snprintf(names, sizeof names, ",%s,", controllers + 1);
        if (!v2 && !strstr(names, ",cpu,"))
            continue;
        uint32_t quota = least_quota(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group, v2);
        if (quota && (!least || quota < least))
            least = quota;
    }
    if (file)
        fclose(file);
    return least;
}

/* ---- devices ------------------------------------------------------------------- */

/* The device itself rarely says; the controller that it hangs on does. */
int belt_device_node(const char *path)
{
    struct stat st;
    char copy[PATH_MAX], link[64], device[PATH_MAX], text[32];
    snprintf(copy, sizeof copy, "%s", path);
    if (stat(path, &st) < 0 && stat(dirname(copy), &st) < 0)
        return -1;
    dev_t number = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(number), minor(number));
    if (!realpath(link, device))
        return -1;
    while (strncmp(device, "/sys/devices/", 13) == 0) {
        char file[PATH_MAX + 16];
        snprintf(file, sizeof file, "%s/numa_node", device);
        if (read_line(file, text, sizeof text))
            return atoi(text) >= 0 ? atoi(text) : -1;
        *strrchr(device, '/') = 0;
    }
    return -1;
}
