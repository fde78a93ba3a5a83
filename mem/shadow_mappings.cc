// SPDX-License-Identifier: Apache-2.0
module;
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

module strata.mem:shadow_mappings.impl;

import :page_guards;
import :page_run;
import :shadow_addresses;
import :shadow_mappings;
import :shadow_object;
import :shadow_space;

import strata.platform;

namespace strata::mem {

shadow_mappings::made shadow_mappings::make(std::uint64_t offset, std::size_t pages, std::size_t aligned) noexcept {
  if (!has_room()) return {none, shadow_refusal::mappings, {}};
  const auto count = static_cast<std::uint32_t>((pages + shadow_space::strip_pages - 1) / shadow_space::strip_pages);
  const std::uint32_t first = addresses_.take(count, aligned);
  if (first == shadow_addresses::none) return {none, shadow_refusal::addresses, {}};
  const os_error refused =
      object_.map(offset, pages * space_.page_size(), space_.base_of_page(shadow_space::first_page_of(first)));
  if (refused.failed()) {
    addresses_.put_back(first, count);
    return {none, refused.code == ENOMEM ? shadow_refusal::mappings : shadow_refusal::os, refused};
  }
  for (std::uint32_t s = first; s < first + count; ++s) space_.strip(s).first = first;
  shadow_strip& made = space_.strip(first);
  made.offset = offset;
  made.count = count;
  made.pages = static_cast<std::uint32_t>(pages);
  made.mapped = true;
  ++count_;
  return {first, shadow_refusal::none, {}};
}

bool shadow_mappings::clear(std::uint32_t mapping, std::uint32_t end) noexcept {
  void* const base = space_.base_of_page(shadow_space::first_page_of(mapping));
  return !platform::reserve_again(base, (end - mapping) * space_.strip_bytes()).failed();
}

void shadow_mappings::retire(std::uint32_t mapping) noexcept {
  shadow_strip& gone = space_.strip(mapping);
  if (!clear(mapping, mapping + gone.count)) {
    void* const base = space_.base_of_page(shadow_space::first_page_of(mapping));
    switch (guards_.set(base, gone.pages * space_.page_size()).by) {
      case page_guards::means::none:
        exposed_ += gone.slab == nullptr ? 1 : gone.spent;  // as many blocks at most
        break;
      case page_guards::means::protection:
        note_protected(mapping);
        break;
      case page_guards::means::marks:
        break;
    }
  }
  put_to_rest(mapping);
}

void shadow_mappings::put_to_rest(std::uint32_t mapping) noexcept {
  shadow_strip& gone = space_.strip(mapping);
  gone.mapped = false;
  gone.slab = nullptr;
  --count_;
  page_guards::forget(gone.split);
  split_ -= gone.split;
  addresses_.rest(mapping);
}

bool shadow_mappings::map_again(const shadow_object& other) noexcept {
  bool good = true;
  addresses_.visit_mappings([&](std::uint32_t mapping, shadow_strip& m) {
    void* const base = space_.base_of_page(shadow_space::first_page_of(mapping));
    good = good && !other.map(m.offset, m.pages * space_.page_size(), base).failed();
    m.split = 0;
  });
  page_guards::forget(std::exchange(split_, 0));
  return good;
}

void shadow_mappings::seal_off() noexcept {
  addresses_.seal_off();
  addresses_.visit_mappings([](std::uint32_t, shadow_strip& m) { m.split = 0; });
  page_guards::forget(std::exchange(split_, 0));
}

}  // namespace strata::mem
