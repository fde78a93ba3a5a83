// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

module strata.mem:shadow_slabs.impl;

import :decay;
import :list;
import :page_run;
import :shadow_object;
import :shadow_slab;
import :shadow_slabs;
import :shadow_space;
import :size_class;

namespace strata::mem {

namespace {

constexpr std::uint32_t kFewestPages = shadow_space::strip_pages;  // of a slab
constexpr std::uint32_t kMostPages = 1024;

}  // namespace

shadow_slabs::~shadow_slabs() {
  end_if([](const shadow_slab* /*slab*/) { return true; });
}

shadow_slabs::made shadow_slabs::make(std::size_t c, shadow_object& object) noexcept {
  const std::size_t page = page_bytes();
  const shadow_shape shape = shadow_shape::of(size_class::bytes(c), page);
  const std::uint32_t pages = std::bit_floor(std::clamp(classes_[c].pages, kFewestPages, kMostPages));
  const std::uint32_t units = pages / shape.unit_pages;
  const std::uint64_t offset = object.take(std::uint64_t{units} * shape.unit_pages * page);
  if (offset == shadow_object::no_offset) return {nullptr, shadow_object::too_small()};
  const shadow_slab::made made = shadow_slab::make(shape, units, offset);
  if (made.slab == nullptr) {
    object.take_back(offset);
    return {nullptr, made.error};
  }
  made.slab->size_class = static_cast<std::uint32_t>(c);
  made.slab->elder = all_;
  all_ = made.slab;
  classes_[c].pages += made.slab->pages();
  list(made.slab);
  return {made.slab, {}};
}

void shadow_slabs::end(shadow_slab* slab) noexcept {
  unlist(slab);
  classes_[slab->size_class].pages -= slab->pages();
  shadow_slab::unmake(slab);
}

void shadow_slabs::list(shadow_slab* slab) noexcept {
  if (slab->listed) return;
  link_front(classes_[slab->size_class].with_room, slab);
  slab->listed = true;
}

void shadow_slabs::unlist(shadow_slab* slab) noexcept {
  if (!slab->listed) return;
  unlink(classes_[slab->size_class].with_room, slab);
  slab->listed = false;
}

bool shadow_slabs::list_any(std::size_t c) noexcept {
  for (shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) {
    if (slab->size_class == c && !slab->is_full()) {
      list(slab);
      return true;
    }
  }
  return false;
}

shadow_slab* shadow_slabs::with_open_slot(std::size_t c) const noexcept {
  shadow_slab* found = nullptr;
  visit([&](shadow_slab* slab) {
    if (slab->size_class == c && slab->has_open_slot()) found = slab;
  });
  return found;
}

void shadow_slabs::took(shadow_slab* slab) noexcept {
  slab->used = true;
  slab->reserved = false;
  held_ += slab->shape().slot_bytes;
  if (slab->is_full()) unlist(slab);
}

void shadow_slabs::gave(shadow_slab* slab) noexcept {
  held_ -= slab->shape().slot_bytes;
  if (slab->is_roomy()) list(slab);
  if (slab->live() == 0) emptied_ = true;
}

bool shadow_slabs::is_unused(shadow_slab* slab, decay_period period, std::uint64_t now) noexcept {
  if (slab->live() != 0) slab->used = true;
  if (slab->live() != 0 || slab->reserved) return false;
  return slab->idle.look(period, now, std::exchange(slab->used, false));
}

const char* shadow_slabs::check() const noexcept {
  const char* wrong = nullptr;
  visit([&wrong](const shadow_slab* slab) {
    if (wrong != nullptr) return;
    wrong = slab->check();
    if (wrong == nullptr && !slab->listed && slab->is_roomy()) wrong = "a shadow slab has room, and nobody knows";
  });
  return wrong;
}

}  // namespace strata::mem
