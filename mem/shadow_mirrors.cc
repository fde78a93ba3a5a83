// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

module strata.mem:shadow_mirrors.impl;

import :page_run;
import :shadow_addresses;
import :shadow_mappings;
import :shadow_mirrors;
import :shadow_slab;
import :shadow_space;

import strata.platform;

namespace strata::mem {

shadow_mappings::made shadow_mirrors::open(shadow_slab* slab, std::uint32_t page, std::uint32_t pages) noexcept {
  const shadow_mappings::made made = mappings_.make(slab->offset(), slab->pages(), 1);
  if (made.mapping == shadow_mappings::none) return made;
  // One call for what would be a fault for each page. A page that cannot be had is found out here, not by a signal.
  const os_error refused = platform::enter(space_.base_of_page(shadow_space::first_page_of(made.mapping) + page),
                                           pages * space_.page_size());
  space_.strip(made.mapping).slab = slab;
  space_.strip(made.mapping).number = slab->next_mirror();
  const std::uint32_t last = slab->newest_mirror();
  const std::uint32_t closed = slab->push_mirror(made.mapping);
  if (closed != shadow_slab::no_mirror) close(closed);
  if (last != shadow_slab::no_mirror && last != closed) retire_if_idle(last);
  if (refused.failed()) return {shadow_mappings::none, shadow_refusal::os, refused};
  return made;
}

void shadow_mirrors::use(shadow_slab* slab, const shadow_slab::place& where, std::uint32_t number) noexcept {
  ++space_.strip(slab->mirror(number)).live;  // first, so that what follows does not retire it
  for (std::uint32_t p = where.first; p <= where.last; ++p) {
    for (std::uint32_t n = slab->unspent_from(p); n <= number; ++n) {
      const std::uint32_t spent = slab->mirror(n);
      if (spent == shadow_slab::no_mirror) continue;
      ++space_.strip(spent).spent;
      retire_if_spent(spent);
    }
  }
  slab->take(where, number);
}

void shadow_mirrors::close(std::uint32_t id) noexcept {
  space_.strip(id).closed = true;
  retire_if_spent(id);
}

void shadow_mirrors::close_all(shadow_slab* slab) noexcept {
  for (std::uint32_t id = slab->oldest_mirror(); id != shadow_slab::no_mirror; id = slab->oldest_mirror()) {
    slab->close_oldest();
    close(id);
  }
}

void shadow_mirrors::close_idle(shadow_slab* slab) noexcept {
  for (std::uint32_t id = slab->oldest_mirror(); id != shadow_slab::no_mirror; id = slab->oldest_mirror()) {
    if (space_.strip(id).live != 0) return;
    slab->close_oldest();
    close(id);
  }
}

void shadow_mirrors::retire_if_spent(std::uint32_t id) noexcept {
  const shadow_strip& mirror = space_.strip(id);
  if (mirror.live == 0 && (mirror.closed || mirror.spent == mirror.pages)) retire(id);
}

// Pages of it may be unused; but pages that are used more often than others made a newer one necessary, and that serves all.
bool shadow_mirrors::may_go(const shadow_strip& mirror) noexcept {
  return mirror.closed || mirror.spent == mirror.pages || mirror.number + 1 != mirror.slab->next_mirror();
}

void shadow_mirrors::retire_if_idle(std::uint32_t id) noexcept {
  const shadow_strip& mirror = space_.strip(id);
  if (mirror.live == 0 && mirror.spent != 0 && may_go(mirror)) retire(id);
}

void shadow_mirrors::drop(std::uint32_t id) noexcept {
  const shadow_strip& mirror = space_.strip(id);
  mirror.slab->drop_mirror(mirror.number);
}

void shadow_mirrors::retire(std::uint32_t id) noexcept {
  drop(id);
  mappings_.retire(id);
}

void shadow_mirrors::put_to_rest(std::uint32_t id) noexcept {
  drop(id);
  mappings_.put_to_rest(id);
}

const char* shadow_mirrors::check(const shadow_addresses& addresses, sum& all) const noexcept {
  const char* wrong = nullptr;
  addresses.visit_mappings([&](std::uint32_t id, const shadow_strip& m) {
    ++all.mappings;
    if (m.slab == nullptr) return;
    std::uint32_t live = 0;
    for (std::size_t p = 0; p < m.pages; ++p) {
      const shadow_note note = space_.record(shadow_space::first_page_of(id) + p).read();
      if (note.state != shadow_state::live && note.state != shadow_state::leaving) continue;
      ++live;
      if (m.slab->is_free(m.slab->place_at(p * space_.page_size() + note.offset))) wrong = "a block's slot is free";
    }
    if (live != m.live) wrong = "a mirror has more or fewer blocks than it counts";
    all.blocks += live;
    all.leaving += m.leaving;
  });
  return wrong;
}

}  // namespace strata::mem
