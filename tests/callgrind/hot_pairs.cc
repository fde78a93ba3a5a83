// SPDX-License-Identifier: Apache-2.0
// hot_pairs WORKLOAD PAIRS: so many pairs of allocate and deallocate, for instructions.py to count. Without arguments:
// one line with the names of the workloads, and whether this program is built to be measured.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory_resource>

import strata.pmr;
namespace sp = strata::pmr;

namespace {

constexpr std::size_t bytes = 64;
constexpr std::size_t alignment = 16;

/// Adds nothing to what is below.
template <class Upstream>
class empty_adaptor final : public sp::direct_layer<empty_adaptor<Upstream>> {
  using base = sp::direct_layer<empty_adaptor>;
  friend base;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = alignment;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  explicit empty_adaptor(Upstream* upstream) noexcept : base("empty", upstream), upstream_(upstream) {}

  [[nodiscard]] sp::statistics stats() const noexcept override { return {}; }

 private:
  [[nodiscard]] inline void* do_allocate(std::size_t size, std::size_t align) override {
    return upstream_->allocate(size, align);
  }
  inline void do_deallocate(void* p, std::size_t size, std::size_t align) override {
    upstream_->deallocate(p, size, align);
  }

  Upstream* const upstream_;
};

/// Gives always the same block: what is measured is the way to it.
class one_block final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t /*size*/, std::size_t /*align*/) override { return block_; }
  void do_deallocate(void* /*p*/, std::size_t /*size*/, std::size_t /*align*/) override {}
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
  alignas(alignment) std::byte block_[bytes];
};

/// The compiler does not know where it points.
std::pmr::memory_resource* opaque(std::pmr::memory_resource* r) {
  std::pmr::memory_resource* volatile hidden = r;
  return hidden;
}

inline void use(void* p) { __asm__ volatile("" : : "r"(p) : "memory"); }

// Through the virtual table, as a container does.
void pairs(std::pmr::memory_resource* through, long count) {
  for (long i = 0; i < count; ++i) {
    void* const p = through->allocate(bytes, alignment);
    use(p);
    through->deallocate(p, bytes, alignment);
  }
}

struct item {
  alignas(alignment) std::byte content[bytes];
};

// Pairs in a small heap among so many free blocks, whose sizes were freed in ascending order: what an unbalanced tree
// would make a list of.
void pairs_among(std::size_t free_blocks, long count) {
  sp::mempool_resource pool(std::pmr::new_delete_resource(), {.segment_bytes = std::size_t{64} << 20});
  const std::size_t sizes = 250;
  for (std::size_t i = 0; i < 2 * free_blocks; i += 2) {
    void* const p = pool.allocate(4 + i / 2 * sizes / free_blocks);
    use(pool.allocate(4));  // keeps neighbours apart
    pool.deallocate(p);
  }
  pairs(opaque(&pool), count);
}

struct workload {
  const char* name;
  void (*run)(long count);
};

constexpr workload workloads[] = {
    {"nothing",
     [](long n) {
       one_block below;
       pairs(opaque(&below), n);
     }},
    {"empty_adaptor",
     [](long n) {
       one_block below;
       empty_adaptor<one_block> adaptor(&below);
       pairs(opaque(&adaptor), n);
     }},
    {"slabs",
     [](long n) {
       sp::slab_resource slabs(std::pmr::new_delete_resource());
       pairs(opaque(&slabs), n);
     }},
    {"empty_adaptor_over_slabs",
     [](long n) {
       sp::slab_resource slabs(std::pmr::new_delete_resource());
       empty_adaptor<sp::slab_resource<>> adaptor(&slabs);
       pairs(opaque(&adaptor), n);
     }},
    {"stack_of_pages_and_slabs",
     [](long n) {
       sp::stack memory{sp::pages{}, sp::slabs{}};
       pairs(opaque(&memory), n);
     }},
    {"cache",
     [](long n) {
       sp::named_cache cache(std::pmr::new_delete_resource(), sp::cache{.item_bytes = bytes});
       pairs(opaque(&cache), n);
     }},
    {"heap",
     [](long n) {
       sp::heap_resource heap(std::pmr::new_delete_resource());
       pairs(opaque(&heap), n);
     }},
    {"fragments",
     [](long n) {
       sp::fragment_resource fragments(std::pmr::new_delete_resource());
       pairs(opaque(&fragments), n);
     }},
    {"mempool",
     [](long n) {
       sp::mempool_resource pool(std::pmr::new_delete_resource());
       pairs(opaque(&pool), n);
     }},
    {"mempool_with_100_free_blocks", [](long n) { pairs_among(100, n); }},
    {"mempool_with_50000_free_blocks", [](long n) { pairs_among(50'000, n); }},
    {"object_pool",
     [](long n) {
       sp::object_pool<item> pool(std::pmr::new_delete_resource());
       for (long i = 0; i < n; ++i) {
         void* const p = pool.request();
         use(p);
         pool.recycle(p);
       }
     }},
};

#if defined(NDEBUG) && defined(__OPTIMIZE__)
constexpr const char* built = "optimised";
#else
constexpr const char* built = "not_optimised";
#endif

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    std::printf("%s", built);
    for (const workload& w : workloads) std::printf(" %s", w.name);
    std::printf("\n");
    return 0;
  }
  for (const workload& w : workloads) {
    if (argc == 3 && std::strcmp(w.name, argv[1]) == 0) {
      w.run(std::atol(argv[2]));
      return 0;
    }
  }
  std::fprintf(stderr, "usage: hot_pairs [WORKLOAD PAIRS]\n");
  return 2;
}
