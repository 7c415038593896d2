// One SVG a table: a group of bars for each panel, the longest first for rates, the
// shortest first for times; ours in blue, peers in grey, the physical limit a line.
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench/ring_report.h"

namespace
{

constexpr double kWidth = 860, kLeft = 210, kRight = 130, kTop = 76;
constexpr double kBar = 17, kStep = 23, kTitle = 34, kAxis = 42;
constexpr double kPlot = kWidth - kLeft - kRight;

struct Picture {
    FILE *out;
    double y;
};

const char *table_title(const std::string &table)
{
    static const char *const titles[][2] = {
        { "A", "One writer, one reader: 8-byte items one at a time" },
        { "B", "One writer, one reader: 8-byte items in batches" },
        { "C", "One writer, one reader: 64-byte items" },
        { "Cbulk", "Bulk: rings that do not fit the near caches" },
        { "D", "Round trip through two rings" },
        { "E", "Rings for many writers and many readers" },
        { "broadcast", "One writer to three readers" },
        { "waiting", "Waiting, and being waited for" },
        { "limits", "What the machine gives" },
    };
    for (auto &title : titles)
        if (table == title[0])
            return title[1];
    return table.c_str();
}

std::string label(Unit unit, double value)
{
    char text[48];
    double v = scaled(unit, value);
    snprintf(text, sizeof text,
             v < 10    ? "%.2f %s"
             : v < 100 ? "%.1f %s"
                       : "%.0f %s",
             v, scaled_unit(unit));
    return text;
}

// 1, 2 or 5 times a power of ten: at most seven ticks up to `most`, whose numbers fit.
double tick_step(double most)
{
    double step = std::pow(10, std::floor(std::log10(most / 7)));
    for (double times : { 1.0, 2.0, 5.0 })
        if (most <= 7 * step * times)
            return step * times;
    return step * 10;
}

void draw_axis(Picture *picture, Unit unit, double most, double top)
{
    double step = tick_step(scaled(unit, most)), edge = scaled(unit, most);
    for (double tick = 0; tick <= edge * 1.0001; tick += step) {
        double x = kLeft + tick / edge * kPlot;
        fprintf(picture->out,
                "<line class='grid' x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f'/>"
                "<text class='tick' x='%.1f' y='%.1f'>%g</text>\n",
                x, top, x, picture->y, x, picture->y + 14, tick);
    }
    fprintf(picture->out, "<text class='tick' x='%.1f' y='%.1f'>%s%s</text>\n", kLeft + kPlot / 2,
            picture->y + 29, unit == Unit::kItems ? "million items a second" : scaled_unit(unit),
            lower_is_better(unit) ? " (shorter is better)" : "");
}

void draw_bar(Picture *picture, const Result &result, double most)
{
    double value = result.median(), length = value / most * kPlot;
    double least = kLeft + result.least() / most * kPlot;
    double end = kLeft + std::min(result.most() / most, 1.0) * kPlot,
           middle = picture->y + kBar / 2;
    fprintf(picture->out,
            "<text class='name%s' x='%.1f' y='%.1f'>%s</text>"
            "<rect class='%s' x='%.1f' y='%.1f' width='%.1f' height='%.1f'/>"
            "<line class='spread' x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f'/>"
            "<text class='value' x='%.1f' y='%.1f'>%s%s</text>\n",
            result.what->ours() ? " ours" : "", kLeft - 8, picture->y + 13,
            result.what->impl.c_str(), result.what->ours() ? "belt" : "peer", kLeft, picture->y,
            std::max(length, 1.0), kBar, least, middle, end, middle,
            std::max(kLeft + length, end) + 6, picture->y + 13,
            label(result.panel->unit, value).c_str(),
            result.near()  ? ""
            : result.far() ? " far"
                           : " neither near nor far");
    picture->y += kStep;
}

// At its place; one that is far outside is only named.
void draw_limit(Picture *picture, const Panel &panel, double limit, double most, double top)
{
    std::string text = "limit " + label(panel.unit, limit);
    double x = kLeft + limit / most * kPlot, end = kWidth - 12;
    if (limit <= 0)
        return;
    if (limit <= most)
        fprintf(picture->out, "<line class='limit' x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f'/>\n", x,
                top - 4, x, picture->y);
    else
        text += " \xe2\x86\x92";
    // Right-aligned: its end beside the line, but never over the panel's title.
    if (limit <= most)
        end = std::min(end, std::max(x + 60, kLeft + kPlot / 2));
    fprintf(picture->out, "<text class='limit' x='%.1f' y='%.1f'>%s</text>\n", end, top - 8,
            text.c_str());
}

void draw_panel(Picture *picture, const std::vector<Result> &panel, double limit)
{
    const Panel &of = *panel.front().panel;
    std::vector<const Result *> bars;
    double most = 0;
    for (const Result &result : panel)
        if (!result.failed())
            bars.push_back(&result);
    for (const Result *bar : bars)
        most = std::max(most, bar->median());
    if (bars.empty() || most <= 0)
        return;
    if (limit > most && limit < 2.5 * most)
        most = limit;
    most *= 1.03;
    std::stable_sort(bars.begin(), bars.end(),
                     [](const Result *a, const Result *b) { return higher_up(*a, *b); });
    fprintf(picture->out, "<text class='panel' x='12' y='%.1f'>%s</text>\n", picture->y + 12,
            of.title.c_str());
    picture->y += kTitle;
    double top = picture->y;
    picture->y += static_cast<double>(bars.size()) * kStep;
    draw_axis(picture, of.unit, most, top);
    picture->y = top;
    for (const Result *bar : bars)
        draw_bar(picture, *bar, most);
    draw_limit(picture, of, limit, most, top);
    picture->y += kAxis;
}

double height_of(const std::vector<const std::vector<Result> *> &panels)
{
    double height = kTop;
    for (const std::vector<Result> *panel : panels)
        height += kTitle + kAxis + static_cast<double>(panel->size()) * kStep;
    return height;
}

void draw_head(FILE *out, const std::string &table, double height, size_t near, size_t far)
{
    fprintf(out,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' "
            "viewBox='0 0 %.0f %.0f' font-family='sans-serif' font-size='12'>\n<style>"
            "text{fill:#222}.title{font-size:18px;font-weight:bold}.sub,.tick{fill:#666}"
            ".panel{font-weight:bold;font-size:13px}.name{text-anchor:end}"
            ".ours{font-weight:bold;fill:#1257a8}.tick{text-anchor:middle;font-size:11px}"
            ".belt{fill:#1b6fd0}.peer{fill:#b4b8bd}.grid{stroke:#e4e4e4}"
            ".spread{stroke:#333;stroke-opacity:.55}line.limit{stroke:#d0451b;stroke-width:2;"
            "stroke-dasharray:5 3}text.limit{fill:#d0451b;text-anchor:end}</style>\n"
            "<rect width='%.0f' height='%.0f' fill='#fff'/>\n"
            "<text class='title' x='12' y='28'>%s</text>\n"
            "<text class='sub' x='12' y='48'>Medians; thin lines: least to most. %zu samples near"
            "%s. Blue: Beltway.</text>\n",
            kWidth, height, kWidth, height, kWidth, height, table_title(table), near,
            far ? (", " + std::to_string(far) + " far ones left out where near ones are").c_str()
                : ", none far");
}

bool draw_table(const char *dir, const std::string &table, const Results &all)
{
    std::vector<const std::vector<Result> *> panels;
    size_t near = 0, far = 0;
    for (const std::vector<Result> &panel : all)
        if (panel.front().panel->table == table) {
            panels.push_back(&panel);
            for (const Result &result : panel) {
                near += result.near();
                far += result.far();
            }
        }
    std::string path = std::string(dir) + "/rings-" + table + ".svg";
    Picture picture = { fopen(path.c_str(), "w"), kTop };
    if (!picture.out) {
        perror(path.c_str());
        return false;
    }
    draw_head(picture.out, table, height_of(panels), near, far);
    for (const std::vector<Result> *panel : panels)
        draw_panel(&picture, *panel, limit_of(all, *panel->front().panel, near > 0));
    fprintf(picture.out, "</svg>\n");
    return fclose(picture.out) == 0;
}

} // namespace

bool write_plots(const char *dir, const Results &all)
{
    std::vector<std::string> tables;
    bool written = true;
    mkdir(dir, 0777); // that it is there already, or cannot be, fopen() tells
    for (const std::vector<Result> &panel : all)
        if (std::find(tables.begin(), tables.end(), panel.front().panel->table) == tables.end())
            tables.push_back(panel.front().panel->table);
    for (const std::string &table : tables)
        written &= draw_table(dir, table, all);
    return written;
}
