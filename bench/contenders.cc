// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <utility>

module bench:contenders.impl;

import :contenders;
import :peers;
import :subject;

import strata.pmr;

namespace sp = strata::pmr;

namespace bench {
namespace {

/// A stack, whose trim() is that of every layer that has one, from the top down.
template <class... Layers>
class stack_subject final : public subject {
 public:
  explicit stack_subject(const Layers&... layers) : layers_(layers...) {}

  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return layers_; }
  void trim() noexcept override {
    [this]<std::size_t... I>(std::index_sequence<I...>) {
      (trim(layers_.template get<sizeof...(Layers) - 1 - I>()), ...);
    }(std::index_sequence_for<Layers...>());
  }

 private:
  static void trim(auto& layer) noexcept {
    if constexpr (requires { layer.trim(); }) layer.trim();
  }

  sp::stack<Layers...> layers_;
};

template <class... Layers>
std::unique_ptr<subject> open_stack() {
  return std::make_unique<stack_subject<Layers...>>(Layers{}...);
}

std::unique_ptr<subject> open_checked_slabs() {
  return std::make_unique<stack_subject<sp::pages, sp::slabs>>(sp::pages{}, sp::slabs{.checks = true});
}

constexpr bool kPeer = true, kShareable = true;

constexpr contender kContenders[] = {
    {"glibc", "operator new", kPeer, kShareable, open_glibc},
    {"mimalloc", "libmimalloc.so.2", kPeer, kShareable, open_mimalloc},
    {"jemalloc", "libjemalloc.so.2", kPeer, kShareable, open_jemalloc},
    {"tcmalloc", "libtcmalloc_minimal.so.4 of gperftools", kPeer, kShareable, open_tcmalloc},
    {"tbb", "libtbbmalloc.so.2", kPeer, kShareable, open_tbb},
    {"std_sync_pool", "std::pmr::synchronized_pool_resource", kPeer, kShareable, open_std_sync_pool},
    {"std_pool", "std::pmr::unsynchronized_pool_resource", kPeer, !kShareable, open_std_pool},
    {"boost_sync_pool", "boost::container::pmr::synchronized_pool_resource", kPeer, kShareable, open_boost_sync_pool},
    {"boost_pool", "boost::container::pmr::unsynchronized_pool_resource", kPeer, !kShareable, open_boost_pool},
    {"slabs", "strata: pages, slabs", !kPeer, kShareable, open_stack<sp::pages, sp::slabs>},
    {"checked_slabs", "strata: pages, slabs with checks", !kPeer, kShareable, open_checked_slabs},
    {"large_slabs", "strata: pages, large_pages, slabs", !kPeer, kShareable,
     open_stack<sp::pages, sp::large_pages, sp::slabs>},
    {"one_slabs", "strata: pages, unsynchronized_slabs", !kPeer, !kShareable,
     open_stack<sp::pages, sp::unsynchronized_slabs>},
    {"sync_heap", "strata: pages, heap, synchronized", !kPeer, kShareable,
     open_stack<sp::pages, sp::heap, sp::synchronized>},
    {"heap", "strata: pages, heap", !kPeer, !kShareable, open_stack<sp::pages, sp::heap>},
};

}  // namespace

std::span<const contender> contenders() noexcept { return kContenders; }

const contender* find_contender(std::string_view name) noexcept {
  for (const contender& c : kContenders) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

}  // namespace bench
