// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

module strata.pmr:page_resource.impl;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :page_resource;
import :report;

import strata.mem;

namespace strata::pmr {

page_resource::page_resource(pages options) noexcept : direct_layer(options.name, nullptr), options_(options) {}

page_resource::~page_resource() {
  trim();
  if (ledger_.blocks() != 0) {
    report_live("destroyed with live blocks: their pages stay mapped and nobody owns them", ledger_.figures());
  }
}

statistics page_resource::stats() const noexcept {
  statistics figures = ledger_.figures();
  const std::size_t mapped = mapped_.load(std::memory_order_relaxed);
  figures.kept = stranded_bytes_.load(std::memory_order_relaxed);
  figures.upstream = mapped + figures.kept;
  figures.overhead = mapped - figures.live;
  return figures;
}

std::size_t page_resource::degraded(std::span<degradation> out) const noexcept {
  const std::size_t refusals = refusals_.load(std::memory_order_relaxed);
  if (refusals == 0) return 0;
  if (!out.empty()) {
    out[0] = {
        .reason = "the OS refused to unmap pages; they hold no memory but address space: raise its limit on mappings",
        .times = refusals};
  }
  return 1;
}

std::optional<std::size_t> page_resource::resident() const noexcept {
  if (!options_.knows_resident || !knows_all_.load(std::memory_order_relaxed)) return std::nullopt;
  bool told = true;
  const std::uint64_t resident = blocks_.sum([&told](const void* block, std::size_t bytes) {
    // The address only: nothing is written through it.
    const auto found = mem::resident_in({const_cast<void*>(block), bytes});
    told = told && found.has_value();
    return found.value_or(0);
  });
  if (!told) return std::nullopt;
  return static_cast<std::size_t>(resident);
}

std::size_t page_resource::trim() noexcept {
  const mem::lock lock(mutex_);
  const std::size_t freed = stranded_.retry();
  stranded_bytes_.store(stranded_.bytes(), std::memory_order_relaxed);
  return freed;
}

void* page_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  const auto [run, error] = mem::map_run(bytes, alignment, {.prefault = options_.prefault, .label = options_.label});
  if (run.base == nullptr) {
    ledger_.failed();
    throw allocation_error(name(), bytes, alignment, "the OS gives no pages", error);
  }
  if (options_.knows_resident && blocks_.add(run.base, run.bytes).failed()) {
    knows_all_.store(false, std::memory_order_relaxed);
  }
  mapped_.fetch_add(run.bytes, std::memory_order_relaxed);
  ledger_.handed_out(bytes);
  mem::add_root(run.base, run.bytes);
  return run.base;
}

void page_resource::do_deallocate(void* p, std::size_t bytes, std::size_t /*alignment*/) {
  const mem::page_run run{p, mem::run_bytes_for(bytes)};
  ledger_.taken_back(bytes);
  mapped_.fetch_sub(run.bytes, std::memory_order_relaxed);
  if (options_.knows_resident) static_cast<void>(blocks_.remove(p));
  mem::remove_root(run.base, run.bytes);
  if (!mem::unmap_run(run).failed()) {
    // Something was unmapped: there may be room now for what was refused before.
    if (stranded_bytes_.load(std::memory_order_relaxed) != 0) trim();
    return;
  }
  refusals_.fetch_add(1, std::memory_order_relaxed);
  const mem::lock lock(mutex_);
  stranded_.add(run);
  stranded_bytes_.store(stranded_.bytes(), std::memory_order_relaxed);
}

}  // namespace strata::pmr
