// SPDX-License-Identifier: Apache-2.0
module;
#include <functional>
#include <memory_resource>
#include <span>

module bench:contenders.impl;

import :contenders;

import strata.pmr;

namespace sp = strata::pmr;

namespace bench {
namespace {

using work_in = std::function<void(std::pmr::memory_resource&)>;

template <class Resource>
void in_standard(const work_in& work) {
  Resource resource;
  work(resource);
}

template <class... Layers>
void in_stack(const work_in& work) {
  sp::stack layers{Layers{}...};
  work(layers);
}

constexpr bool kPeer = true, kShareable = true;

constexpr contender kContenders[] = {
    {"glibc", "new_delete_resource", kPeer, kShareable,
     [](const work_in& work) { work(*std::pmr::new_delete_resource()); }},
    {"std_sync_pool", "synchronized_pool_resource", kPeer, kShareable,
     in_standard<std::pmr::synchronized_pool_resource>},
    {"std_pool", "unsynchronized_pool_resource", kPeer, !kShareable,
     in_standard<std::pmr::unsynchronized_pool_resource>},
    {"slabs", "strata: pages, slabs", !kPeer, kShareable, in_stack<sp::pages, sp::slabs>},
    {"sync_heap", "strata: pages, heap, synchronized", !kPeer, kShareable,
     in_stack<sp::pages, sp::heap, sp::synchronized>},
    {"heap", "strata: pages, heap", !kPeer, !kShareable, in_stack<sp::pages, sp::heap>},
};

}  // namespace

std::span<const contender> contenders() noexcept { return kContenders; }

}  // namespace bench
