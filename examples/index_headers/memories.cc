// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <functional>
#include <memory_resource>
#include <span>
#include <string_view>

module index_headers:memories.impl;

import :memories;

import strata.pmr;

namespace sp = strata::pmr;

namespace index_headers {
namespace {

template <class Resource>
void in_standard(const job& work) {
  Resource resource;
  work(resource, {});
}

/// In a stack of layers, source first.
template <class... Layers>
void in_stack(const job& work) {
  sp::stack layers{Layers{}...};
  work(layers, {.report = [&](std::FILE* out) { layers.write_report(out); }, .dump = nullptr});
}

void in_heap(const job& work) {
  sp::stack layers{sp::pages{}, sp::heap{.name = "index"}};
  work(layers, {.report = [&](std::FILE* out) { layers.write_report(out); },
                .dump = [&](std::FILE* out) { layers.get<1>().dump(out); }});
}

constexpr memory kMemories[] = {
    {"new_delete", "operator new and delete", [](const job& work) { work(*std::pmr::new_delete_resource(), {}); }},
    {"std_pool", "std::pmr::unsynchronized_pool_resource", in_standard<std::pmr::unsynchronized_pool_resource>},
    {"std_sync_pool", "std::pmr::synchronized_pool_resource", in_standard<std::pmr::synchronized_pool_resource>},
    {"std_monotonic", "std::pmr::monotonic_buffer_resource, which frees nothing before its end",
     in_standard<std::pmr::monotonic_buffer_resource>},
    {"strata_slabs", "strata: pages, slabs", in_stack<sp::pages, sp::slabs>},
    {"strata_heap", "strata: pages, heap", in_heap},
    {"strata_sync_heap", "strata: pages, heap, synchronized", in_stack<sp::pages, sp::heap, sp::synchronized>},
};

}  // namespace

std::span<const memory> memories() noexcept { return kMemories; }

const memory* find_memory(std::string_view name) noexcept {
  for (const memory& candidate : kMemories) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

const memory& heap_memory() noexcept { return *find_memory("strata_heap"); }

}  // namespace index_headers
