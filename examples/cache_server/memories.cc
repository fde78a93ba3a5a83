// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <span>
#include <string_view>

module cache_server:memories.impl;

import :memories;

import strata.pmr;

namespace cache_server {

namespace {

namespace sp = strata::pmr;

constexpr sp::pages kPages{.knows_resident = true};

sp::limit machine(const memory_sizes& sizes) noexcept {
  constexpr std::size_t everything = std::size_t{1} << 46;
  return {.name = "machine", .bytes = sizes.most_from_os != 0 ? sizes.most_from_os : everything};
}

// In a stack of layers, source first, over pages that are capped.
template <class... Layers>
void in_stack(const memory_sizes& sizes, memory_work work, const Layers&... layers) {
  sp::stack memory{kPages, machine(sizes), layers...};
  work(memory);
}

// Of a pool whose size is fixed: a quarter more than the budget, for what rounding and holes take; or most of what may be
// had, its own tables aside.
sp::mempool pool_of(const memory_sizes& sizes) noexcept {
  constexpr std::size_t step = std::size_t{2} << 20;
  std::size_t wanted = sizes.budget + sizes.budget / 4;
  if (sizes.most_from_os != 0) wanted = std::min(wanted, sizes.most_from_os / 10 * 9 - step);
  return {.segment_bytes = (wanted / step + 1) * step};
}

constexpr memory kMemories[] = {
    {"slabs", "slabs with a cache for each thread",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::slabs{}); }},
    {"large_pages", "the same on large pages",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::large_pages{}, sp::slabs{}); }},
    {"checked_slabs", "slabs that tell misuse at once",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::slabs{.checks = true}); }},
    {"heap", "a general heap behind its own lock",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::shared_heap{}); }},
    {"synchronized_heap", "a heap for one thread, with a lock round it",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::heap{}, sp::synchronized{}); }},
    {"mempool", "an autonomous pool, taken whole at the start",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, pool_of(s)); }},
    {"shadow", "slabs; one block in 16 on virtual pages of its own",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::slabs{}, sp::shadow{.one_in = 16}); }},
    {"guards", "slabs; one block in 64 between inaccessible pages",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::slabs{}, sp::guards{.one_in = 64}); }},
    {"debug", "slabs; every block watched: pads, fills, a book of them",
     [](const memory_sizes& s, memory_work w) { in_stack(s, w, sp::slabs{}, sp::debug{}); }},
    {"malloc", "operator new and delete, for comparison",
     [](const memory_sizes& /*sizes*/, memory_work work) { work(*std::pmr::new_delete_resource()); }},
    {"std_pool", "std::pmr::synchronized_pool_resource, for comparison",
     [](const memory_sizes& /*sizes*/, memory_work work) {
       std::pmr::synchronized_pool_resource memory;
       work(memory);
     }},
};

}  // namespace

std::span<const memory> memories() noexcept { return kMemories; }

const memory* find_memory(std::string_view name) noexcept {
  for (const memory& candidate : kMemories) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

}  // namespace cache_server
