// What telemetry costs: the same pipelines with nobody attached, with a handler for
// everything but single messages, and with one for each frame.
//
//   telemetry/<pipeline>/off, /frames, /all, counter also /messages

#include "bench/job.h"
#include "core/telemetry.h"

namespace
{

uint64_t heard; // by the handlers, which one thread calls

void hear(const belt_event *event, void *)
{
    heard += 1 + (event->kind == BELT_EVENT_LOST);
}

void register_with(const std::string &name, BenchJob job, const char *prefix)
{
    job.before = [] { heard = 0; };
    if (prefix) {
        job.made = [prefix](belt_pipeline *p) {
            belt_telemetry_attach(p, prefix, hear, nullptr, nullptr);
        };
        job.wrong = [](const belt_totals &) {
            return std::string(heard ? "" : "nothing was told");
        };
    }
    bench_register("telemetry/" + name, job);
}

void register_all(const std::string &name, const BenchJob &job)
{
    register_with(name + "/off", job, nullptr);
    register_with(name + "/frames", job, "beltway.processor.stop");
    register_with(name + "/all", job, "beltway");
}

uint32_t look(void *, belt_view *view)
{
    return view->end;
}

const belt_part *look_step()
{
    static belt_step step = {};
    step.part.abi = BELT_ABI;
    step.part.kind = BELT_STEP;
    step.part.name = "look";
    step.part.help = "for benches";
    step.frame = look;
    return &step.part;
}

BenchJob counter(uint64_t count)
{
    BenchJob job;
    job.yaml =
        "source: { counter: " + std::to_string(count) + " }\nprocessor: { steps: [ look: {} ] }\n";
    job.parts = { look_step() };
    job.input = [count] { return BenchInput{ count, 8 * count }; };
    return job;
}

BenchJob sensors(const std::string &path)
{
    BenchJob job;
    job.yaml = "source: { file: { paths: '" + path +
               "' } }\n"
               "processor: { steps: [ split: { delimiter: ';', into: { sensor: text, "
               "value: decimal(1) } } ] }\n"
               "batcher: { aggregate: { group_by: sensor, columns: { min: min(value), mean: "
               "mean(value), max: max(value) }, emit: at_end, sort_by: sensor }, sink: 'null' }\n";
    job.input = [path] { return bench_file(path); };
    return job;
}

const bool registered = [] {
    register_all("counter", counter(400000000));
    register_with("counter/messages", counter(4000000), "beltway.processor.message");
    std::string path = bench_file_from("BELT_SENSORS");
    if (!path.empty())
        register_all("sensors", sensors(path));
    return true;
}();

} // namespace
