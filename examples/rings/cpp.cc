// A typed channel in C++17 over the C calls: RAII, exceptions at set-up only, and
// nothing between the caller and the inlined hot path.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <type_traits>

#include <beltway/ring.h>

static void must(int rc, const char *what)
{
    if (rc < 0)
        throw std::system_error(-rc, std::generic_category(), what);
}

template <class T> class Channel
{
    static_assert(std::is_trivially_copyable_v<T>, "items are copied as bytes");
    static_assert(alignof(T) <= 8, "slots are aligned to 8 bytes");
    belt_mem mem_{};

  public:
    explicit Channel(uint32_t items, belt_kind kind = BELT_SPSC)
    {
        belt_ring_conf conf{};
        conf.size = sizeof conf;
        conf.item_size = sizeof(T);
        conf.items = items;
        conf.kind = kind;
        must(belt_ring_conf_check(&conf), "channel");
        must(belt_mem_map(&mem_, belt_ring_footprint(&conf), BELT_MEM_PRIVATE), "channel's memory");
        must(belt_ring_format(mem_, &conf), "channel");
    }
    ~Channel()
    {
        belt_mem_unmap(&mem_);
    }
    Channel(const Channel &) = delete;
    Channel &operator=(const Channel &) = delete;

    class Writer
    {
        belt_tx tx_;

      public:
        explicit Writer(Channel &of)
        {
            must(belt_tx_open(&tx_, of.mem_), "writer");
        }
        ~Writer() // the end of the stream is the end of its writer
        {
            belt_close(&tx_);
            belt_tx_leave(&tx_);
        }
        Writer(const Writer &) = delete;
        Writer &operator=(const Writer &) = delete;
        void send(const T &item)
        {
            while (!belt_push(&tx_, &item, sizeof item))
                must(belt_tx_wait(&tx_, BELT_FOR_EVER), "send");
        }
    };

    class Reader
    {
        belt_rx rx_;

      public:
        explicit Reader(Channel &of)
        {
            must(belt_rx_open(&rx_, of.mem_), "reader");
        }
        ~Reader()
        {
            belt_rx_leave(&rx_);
        }
        Reader(const Reader &) = delete;
        Reader &operator=(const Reader &) = delete;
        // Calls use(item) in place, for all there is; false: there will be no more.
        template <class F> bool receive(F &&use)
        {
            int rc = belt_rx_wait(&rx_, BELT_FOR_EVER);
            if (rc == -EPIPE)
                return false;
            must(rc, "receive");
            belt_slots s = belt_peek(&rx_, UINT32_MAX);
            for (uint32_t i = 0; i < s.count; i++)
                use(*reinterpret_cast<const T *>(static_cast<char *>(s.first) +
                                                 size_t{ i } * rx_.slot_size));
            return belt_release(&rx_, s.count);
        }
    };
};

struct Trade {
    uint64_t id;
    double price;
    int32_t amount;
};

int main()
{
    constexpr uint64_t trades = 200000;
    Channel<Trade> channel(512);
    Channel<Trade>::Reader reader(channel);
    std::thread sender([&channel] {
        Channel<Trade>::Writer writer(channel);
        for (uint64_t i = 0; i < trades; i++)
            writer.send({ i, 0.5 * static_cast<double>(i), 2 });
    });
    uint64_t next = 0;
    double turnover = 0;
    while (reader.receive([&](const Trade &t) {
        next += t.id == next;
        turnover += t.price * t.amount;
    })) {
    }
    sender.join();
    std::printf("cpp: %llu trades, turnover %.0f\n", static_cast<unsigned long long>(next),
                turnover);
    return next == trades && turnover == trades * (trades - 1) / 2.0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
