/* How far apart two CPUs are just now. On virtual machines that changes within
 * seconds (100 to 500 ns round trip seen on one pair), and with it every figure
 * of two threads by up to 5x: measure it before and after each sample, and label. */
#ifndef BELT_CALIBRATE_H
#define BELT_CALIBRATE_H

/* Round trips below this are those of two threads of one core, which share its first
 * caches: a ring then moves 4 times what it does between two cores of one chip. */
constexpr double BELT_ONE_CORE_NS = 90;
/* From there up to this they are "near": two cores that share a cache. */
constexpr double BELT_NEAR_NS = 170;

/* Two different CPUs of the process's mask; false: it has one only. */
bool belt_calibrate_cpus(int *cpu_a, int *cpu_b);

/* Mean ns of a round trip of one cache line each way between threads pinned to
 * the two, over 2,000 rounds (0.3 to 1 ms). Negative: could not pin. */
double belt_calibrate_ns(int cpu_a, int cpu_b);

/* Of the round trips before and after a sample the one that it goes by: the longer,
 * but one core's if one is. Negative when one is. */
double belt_calibrate_worse(double before, double after);

/* "one core", "near" or "far"; a disturbed measurement is far as well. */
const char *belt_calibrate_label(double ns);
bool belt_calibrate_is_near(double ns);

/* Pins the calling thread to one CPU while it lives; then as before. */
class BeltPin
{
  public:
    explicit BeltPin(int cpu);
    ~BeltPin();
    BeltPin(const BeltPin &) = delete;
    BeltPin &operator=(const BeltPin &) = delete;
    bool ok() const
    {
        return ok_;
    }

  private:
    bool ok_;
    unsigned char before_[128]; /* a cpu_set_t */
};

#endif
