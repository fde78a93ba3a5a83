// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>

module strata.mem:fragment_store.impl;

import :fragment_store;

import :bitmap;
import :fragment_map;

import strata.platform;

namespace strata::mem {

fragment_store::fragment_store() noexcept
    : hook_(0, {.prepare = nullptr, .parent = nullptr, .child = in_child}, this), refused_(platform::at_fork(hook_)) {}

fragment_store::~fragment_store() { platform::cancel(hook_); }

fragment_map::taken fragment_store::take(std::size_t n, std::size_t alignment, fragment_tag tag) noexcept {
  fragment_map::taken all;
  const std::size_t count = regions();
  for (std::size_t i = 0; i < count; ++i) {
    const fragment_map::taken one = regions_[i]->take(n, alignment, tag);
    all.claim.looks += one.claim.looks;
    all.claim.words += one.claim.words;
    if (one.block != nullptr) {
      all.block = one.block;
      all.claim.outcome = claim_outcome::taken;
      return all;
    }
    if (one.claim.outcome == claim_outcome::contended) all.claim.outcome = claim_outcome::contended;
  }
  return all;
}

fragment_fault fragment_store::put(void* block, std::size_t n, fragment_tag tag) noexcept {
  fragment_map* const region = region_of(block);
  return region == nullptr ? fragment_fault::foreign : region->put(block, n, tag);
}

void fragment_store::shrink(void* block, std::size_t n) noexcept { region_of(block)->shrink(block, n); }

fragment_map::found fragment_store::find(const void* p) const noexcept {
  const fragment_map* const region = region_of(p);
  return region == nullptr ? fragment_map::found{} : region->find(p);
}

fragment_map* fragment_store::region_of(const void* p) const noexcept {
  const std::size_t count = regions();
  for (std::size_t i = 0; i < count; ++i) {
    if (regions_[i]->contains(p)) return regions_[i];
  }
  return nullptr;
}

void fragment_store::add(fragment_map* region) noexcept {
  const std::size_t count = regions();
  regions_[count] = region;
  count_.store(count + 1, std::memory_order_release);
}

fragment_store::figures fragment_store::count() const noexcept {
  figures all{};
  for (std::size_t i = 0; i < regions(); ++i) {
    const fragment_map& one = *regions_[i];
    if (one.base() == nullptr) continue;
    const std::size_t fragment = one.shape().fragment_bytes;
    all.data += one.shape().count * fragment;
    all.free += one.free() * fragment;
  }
  return all;
}

std::size_t fragment_store::longest_free() const noexcept {
  std::size_t longest = 0;
  for (std::size_t i = 0; i < regions(); ++i) {
    const fragment_map& one = *regions_[i];
    if (one.base() == nullptr) continue;
    longest = std::max(longest, one.longest_free() * one.shape().fragment_bytes);
  }
  return longest;
}

const char* fragment_store::check() const noexcept {
  for (std::size_t i = 0; i < regions(); ++i) {
    if (const char* const wrong = regions_[i]->check(); wrong != nullptr) return wrong;
  }
  return nullptr;
}

void fragment_store::in_child(void* store) noexcept {
  auto* const self = static_cast<fragment_store*>(store);
  for (std::size_t i = 0; i < self->regions(); ++i) self->regions_[i]->forked();
}

}  // namespace strata::mem
