// SPDX-License-Identifier: Apache-2.0
// A layer of your own: an adaptor that counts requests by size, in a stack between Strata's layers.
#include <array>
#include <bit>
#include <cstddef>
#include <cstdio>
#include <list>
#include <memory_resource>
#include <string>
#include <vector>

import strata.pmr;
namespace sp = strata::pmr;

template <class Upstream>
class size_counting_adaptor;

/// What goes into a stack is a struct of options that names the layer.
struct count_sizes {
  template <class Upstream>
  using layer_over = size_counting_adaptor<Upstream>;

  const char* name = "count_sizes";
};

/// Counts requests by the power of two that holds them, and lets them pass. direct_layer makes the calls between layers
/// direct.
template <class Upstream = std::pmr::memory_resource>
class size_counting_adaptor final : public sp::direct_layer<size_counting_adaptor<Upstream>> {
  using base = sp::direct_layer<size_counting_adaptor<Upstream>>;

 public:
  // What it stands on, and the facts that let `stack` refuse senseless orders.
  using upstream_type = Upstream;
  static constexpr bool thread_safe = false;
  static constexpr std::size_t max_alignment = Upstream::max_alignment;
  static constexpr bool zeroed = Upstream::zeroed;
  static constexpr bool can_release = false;

  explicit size_counting_adaptor(Upstream* upstream, const count_sizes& options = {})
      : base(options.name, upstream), upstream_(upstream) {}

  /// A row in the report. An adaptor hands out what it takes: nothing is kept, nothing is overhead.
  [[nodiscard]] sp::statistics stats() const noexcept override { return counted_; }

  void write_sizes(std::FILE* out) const {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i] != 0) std::fprintf(out, "to %6zu bytes: %6zu requests\n", std::size_t{1} << i, requests_[i]);
    }
  }

 private:
  friend base;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = nullptr;
    try {
      block = upstream_->allocate(bytes, alignment);  // upstream first: if it throws, nothing has been counted
    } catch (...) {
      ++counted_.failures;
      throw;
    }
    ++requests_[static_cast<std::size_t>(std::bit_width(bytes == 0 ? 0 : bytes - 1))];
    ++counted_.allocations;
    ++counted_.live_blocks;
    counted_.upstream = counted_.live += bytes;
    if (counted_.live > counted_.peak) counted_.peak = counted_.live;
    return block;
  }

  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    --counted_.live_blocks;
    counted_.upstream = counted_.live -= bytes;
    upstream_->deallocate(block, bytes, alignment);
  }

  Upstream* upstream_;
  std::array<std::size_t, 64> requests_{};  // by bit width of the size less one
  sp::statistics counted_;
};

int main() {
  sp::stack memory{sp::pages{}, sp::heap{}, count_sizes{}, sp::synchronized{}};
  std::pmr::list<std::pmr::string> names{&memory};
  for (int i = 0; i < 1000; ++i) names.emplace_back("a name that is too long to fit into the string itself");
  std::pmr::vector<int> numbers{&memory};
  for (int i = 0; i < 1000; ++i) numbers.push_back(i);

  memory.get<2>().write_sizes(stdout);
  memory.write_report(stdout);
}
