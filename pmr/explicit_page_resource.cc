// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>

module strata.pmr:explicit_page_resource.impl;

import :allocation_error;
import :explicit_page_resource;
import :ledger;
import :misuse;
import :option_check;
import :refusals;
import :report;

import strata.mem;

namespace strata::pmr {

explicit_page_resource::explicit_page_resource(explicit_pages options)
    : direct_layer(options.name, nullptr), options_(options) {
  option_check("explicit_pages", options.name)
      .power_of_two(2 * mem::page_bytes(), option_check::any, "largest", options.largest);
  std::size_t known[64] = {};
  const std::size_t count = std::min(mem::page_sizes(known), std::size(known));
  for (std::size_t i = count; i > 1 && size_count_ < most_sizes; --i) {
    if (known[i - 1] <= options.largest) sizes_[size_count_++] = known[i - 1];
  }
}

explicit_page_resource::~explicit_page_resource() {
  if (ledger_.blocks() != 0) {
    report_live("destroyed with live blocks: their pages stay mapped and nobody owns them", ledger_.figures());
  }
}

statistics explicit_page_resource::stats() const noexcept {
  statistics figures = ledger_.figures();
  const std::size_t mapped = mapped_.load(std::memory_order_relaxed);
  figures.kept = stranded_.load(std::memory_order_relaxed);
  figures.upstream = mapped + figures.kept;
  figures.overhead = mapped - figures.live;
  return figures;
}

std::size_t explicit_page_resource::degraded(std::span<degradation> out) const noexcept {
  const bool stranded = stranded_.load(std::memory_order_relaxed) != 0;
  return tell({misses_.because("blocks came in ordinary pages; have the OS keep more large pages in its pool"),
               {.reason = "the OS refused to unmap pages: raise its limit on mappings", .times = stranded ? 1U : 0U}},
              out);
}

std::size_t explicit_page_resource::large_bytes() const noexcept {
  return static_cast<std::size_t>(
      pool_blocks_.sum([](const void* block, std::size_t bytes) { return mem::backing_of(block, bytes).large; }));
}

// From the largest page that the block nearly fills, and that aligns it. `due`: there is such a page size.
mem::page_run_result explicit_page_resource::from_pool(std::size_t bytes, std::size_t alignment, bool& due) noexcept {
  mem::page_run_result last;
  for (std::size_t i = 0; i < size_count_; ++i) {
    const std::size_t page = sizes_[i];
    const std::size_t waste = (page - bytes % page) % page;
    if (bytes == 0 || waste > bytes / 8 || alignment > page) continue;
    due = true;
    const mem::page_run_result got = mem::map_large_run(bytes, page);
    if (got.run.base != nullptr) return got;
    last.error = got.error;
  }
  return last;
}

void* explicit_page_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  bool due = false;
  mem::page_run_result got = from_pool(bytes, alignment, due);
  if (got.run.base != nullptr) {
    if (const mem::os_error refused = pool_blocks_.add(got.run.base, got.run.bytes); refused.failed()) {
      static_cast<void>(mem::unmap_run(got.run));
      ledger_.failed();
      throw allocation_error(name(), bytes, alignment, "there is no memory to note the block in", refused);
    }
    pool_bytes_.fetch_add(got.run.bytes, std::memory_order_relaxed);
  } else {
    if (due && options_.strict) {
      ledger_.failed();
      throw allocation_error(name(), bytes, alignment,
                             "no pool has so many large pages free; have the OS keep more, or let strict be false",
                             got.error);
    }
    const mem::os_error missing = got.error;
    got = mem::map_run(bytes, alignment, {.label = options_.label});
    if (got.run.base == nullptr) {
      ledger_.failed();
      throw allocation_error(name(), bytes, alignment, "the OS gives no pages", got.error);
    }
    if (due) misses_.note(missing);
  }
  mapped_.fetch_add(got.run.bytes, std::memory_order_relaxed);
  ledger_.handed_out(bytes);
  mem::add_root(got.run.base, got.run.bytes);
  return got.run.base;
}

void explicit_page_resource::do_deallocate(void* p, std::size_t bytes, std::size_t /*alignment*/) {
  const std::size_t pooled = pool_blocks_.remove(p);
  const mem::page_run run{p, pooled != 0 ? pooled : mem::run_bytes_for(bytes)};
  ledger_.taken_back(bytes);
  mapped_.fetch_sub(run.bytes, std::memory_order_relaxed);
  pool_bytes_.fetch_sub(pooled, std::memory_order_relaxed);
  mem::remove_root(run.base, run.bytes);
  if (mem::unmap_run(run).failed()) stranded_.fetch_add(run.bytes, std::memory_order_relaxed);
}

}  // namespace strata::pmr
