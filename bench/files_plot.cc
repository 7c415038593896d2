// One picture: a group of bars for each job, ours in blue, others in grey, and the limit that
// the job is held against as a red line.
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "bench/files.h"

namespace files
{

namespace
{

constexpr double kWidth = 860, kLeft = 220, kRight = 120, kPlot = kWidth - kLeft - kRight;
constexpr double kBar = 17, kStep = 23, kTitle = 46;

struct Picture {
    FILE *out;
    double y;
};

struct Group {
    const char *job;
    std::vector<const Measured *> rows;
    double limit, most; // in the group's unit; limit 0: none
};

const char *const kUnits[] = { "GB/s", "M rows/s", "ns CPU a row" };

double shown(const Measured &row)
{
    return median(row.values());
}

// What the limit would be in this row's unit: its bytes a second, in rows of this size.
double limit_for(const Report &report, const Measured &row)
{
    double share = of_limit(report, row);
    return share > 0 && row.row.unit != CPU_NS ? shown(row) / share : 0;
}

Group group_of(const Report &report, const char *job)
{
    Group group = { job, {}, 0, 0 };
    for (const Measured &row : report.rows)
        if (strcmp(row.row.job, job) == 0 && row.error.empty() && !row.samples.empty()) {
            group.rows.push_back(&row);
            group.limit = std::max(group.limit, limit_for(report, row));
            group.most = std::max({ group.most, row.values().back(), group.limit });
        }
    return group;
}

void draw_bar(Picture *picture, const Measured &row, double most)
{
    std::vector<double> values = row.values();
    double value = median(values), length = value / most * kPlot;
    double least = kLeft + values.front() / most * kPlot,
           end = kLeft + values.back() / most * kPlot;
    fprintf(picture->out,
            "<text class='name' x='%.1f' y='%.1f'>%s</text>"
            "<rect class='%s' x='%.1f' y='%.1f' width='%.1f' height='%.1f'/>"
            "<line class='spread' x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f'/>"
            "<text class='value' x='%.1f' y='%.1f'>%.4g</text>\n",
            kLeft - 8, picture->y + 13, row.row.name, row.row.kind == OURS ? "belt" : "peer", kLeft,
            picture->y, std::max(length, 1.0), kBar, least, picture->y + kBar / 2, end,
            picture->y + kBar / 2, std::max(kLeft + length, end) + 6, picture->y + 13, value);
    picture->y += kStep;
}

void draw_group(Picture *picture, const Group &group)
{
    double top = picture->y + kTitle;
    fprintf(picture->out, "<text class='title' x='12' y='%.1f'>%s %s, %s</text>\n", picture->y + 24,
            group.job, job_title(group.job), kUnits[group.rows[0]->row.unit]);
    picture->y = top;
    for (const Measured *row : group.rows)
        draw_bar(picture, *row, group.most);
    if (group.limit > 0) {
        double x = kLeft + group.limit / group.most * kPlot;
        fprintf(picture->out,
                "<line class='limit' x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f'/>"
                "<text class='limit' x='%.1f' y='%.1f'>limit %.4g</text>\n",
                x, top - 4, x, picture->y, x, top - 8, group.limit);
    }
}

} // namespace

bool write_plot(const Bench &, const Report &report, const std::string &path)
{
    mkdir(path.substr(0, path.rfind('/')).c_str(), 0777);
    Picture picture = { fopen(path.c_str(), "we"), 0 };
    if (!picture.out) {
        perror(path.c_str());
        return false;
    }
    std::vector<Group> groups;
    double height = 24;
    for (const char *job : { "G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "limit" }) {
        Group group = group_of(report, job);
        if (group.rows.empty())
            continue;
        height += kTitle + kStep * static_cast<double>(group.rows.size());
        groups.push_back(group);
    }
    fprintf(picture.out,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' "
            "font-family='sans-serif' font-size='12'>\n<style>.title{font-weight:bold;"
            "font-size:14px}.name,.limit{text-anchor:end}.belt{fill:#2563a8}.peer{fill:#9aa3ab}"
            ".spread{stroke:#222}line.limit{stroke:#c0392b;stroke-width:2}"
            "text.limit{fill:#c0392b}</style>\n<rect width='100%%' height='100%%' fill='#fff'/>\n",
            kWidth, height);
    for (const Group &group : groups)
        draw_group(&picture, group);
    fputs("</svg>\n", picture.out);
    return fclose(picture.out) == 0;
}

} // namespace files
