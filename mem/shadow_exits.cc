// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

module strata.mem:shadow_exits.impl;

import :page_guards;
import :shadow_exits;
import :shadow_mappings;
import :shadow_mirrors;
import :shadow_slab;
import :shadow_slabs;
import :shadow_space;

namespace strata::mem {

using means = page_guards::means;

means shadow_exits::guard(std::size_t first, std::size_t last) noexcept {
  const means how = guards_.set(space_.base_of_page(first), (last - first + 1) * space_.page_size()).by;
  count(first, how);
  return how;
}

void shadow_exits::count(std::size_t page, means how) noexcept {
  ++calls_;
  if (how == means::protection) mappings_.note_protected(space_.mapping_of(page));
}

// The mirror is still there.
void shadow_exits::free_slot(std::size_t page, means how) noexcept {
  shadow_page& record = space_.record(page);
  record.set_state(how == means::none ? shadow_state::exposed : shadow_state::dead);
  ++(how == means::none ? exposed_ : guarded_);
  const std::uint32_t id = space_.mapping_of(page);
  shadow_slab* const slab = space_.strip(id).slab;
  const std::size_t start = (page - shadow_space::first_page_of(id)) * space_.page_size() + record.read().offset;
  slab->give(slab->place_at(start));
  slabs_.gave(slab);
  mirrors_.leave(id);
}

void shadow_exits::leave(std::size_t page, means how) noexcept {
  count(page, how);
  free_slot(page, how);
  mirrors_.retire_if_idle(space_.mapping_of(page));
}

void shadow_exits::leave_all(std::span<const std::uint32_t> batch) noexcept {
  while (!batch.empty()) {
    const bool whole = mirrors_.goes_whole(space_.mapping_of(batch.front()));
    batch = batch.subspan(whole ? leave_whole(batch) : leave_row(batch));
  }
}

// Those on mirrors that go whole, and lie in a row. Returns how many.
std::size_t shadow_exits::leave_whole(std::span<const std::uint32_t> batch) noexcept {
  const std::uint32_t begin = space_.mapping_of(batch.front());
  std::uint32_t end = begin;
  std::size_t blocks = 0;
  while (blocks < batch.size()) {
    const std::uint32_t id = space_.mapping_of(batch[blocks]);
    if (id != end || !mirrors_.goes_whole(id)) break;
    blocks += space_.strip(id).leaving;
    end += space_.strip(id).count;
  }
  const bool gone = mappings_.clear(begin, end);
  ++calls_;
  for (const std::uint32_t page : batch.first(blocks)) {
    const std::uint32_t id = space_.mapping_of(page);
    free_slot(page, means::marks);
    if (space_.strip(id).live != 0) continue;
    if (gone) {
      mirrors_.put_to_rest(id);
    } else {
      mirrors_.retire(id);
    }
  }
  return blocks;
}

// Those on pages in a row. Returns how many.
std::size_t shadow_exits::leave_row(std::span<const std::uint32_t> batch) noexcept {
  const std::uint32_t id = space_.mapping_of(batch.front());
  std::size_t last = batch.front();
  std::size_t blocks = 0;
  for (; blocks < batch.size(); ++blocks) {
    const std::size_t page = batch[blocks];
    const std::uint32_t mapping = space_.mapping_of(page);
    if (blocks != 0 && page != last + 1) break;
    if (mapping != id && (guards_.costs_mappings() || mirrors_.goes_whole(mapping))) break;
    last = space_.last_page_of(page, space_.record(page).read());
  }
  const means how = guard(batch.front(), last);
  for (const std::uint32_t page : batch.first(blocks)) {
    free_slot(page, how);
    mirrors_.retire_if_idle(space_.mapping_of(page));
  }
  return blocks;
}

void shadow_exits::guard_again(std::uint32_t id, bool leaving) noexcept {
  const std::size_t begin = shadow_space::first_page_of(id);
  const std::size_t end = begin + space_.strip(id).pages;
  const auto is_dead = [this](std::size_t p) { return space_.record(p).state() == shadow_state::dead; };
  for (std::size_t p = begin; p < end;) {
    const std::size_t first = p;
    while (p < end && is_dead(p)) p = space_.last_page_of(p, space_.record(p).read()) + 1;
    if (p == first) {
      ++p;
    } else {
      static_cast<void>(guard(first, p - 1));
    }
  }
  for (std::size_t p = begin; leaving && p < end && space_.strip(id).mapped; ++p) {
    if (space_.record(p).state() != shadow_state::leaving) continue;
    free_slot(p, guard(p, space_.last_page_of(p, space_.record(p).read())));
    mirrors_.retire_if_idle(id);
  }
}

}  // namespace strata::mem
