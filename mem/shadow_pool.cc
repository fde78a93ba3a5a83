// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/base/thread_annotations.h"

module strata.mem:shadow_pool.impl;

import :budget;
import :bytes;
import :decay;
import :lock_watch;
import :mutex;
import :page_guards;
import :page_run;
import :shadow_addresses;
import :shadow_batch;
import :shadow_exits;
import :shadow_mappings;
import :shadow_mirrors;
import :shadow_object;
import :shadow_pool;
import :shadow_slab;
import :shadow_slabs;
import :shadow_space;
import :size_class;

import strata.platform;

namespace strata::mem {

namespace {

constexpr std::size_t kDefaultAddresses = std::size_t{64} << 30;  // bytes
constexpr std::size_t kDefaultHold = std::size_t{4} << 30;        // bytes
constexpr std::size_t kBetweenLooks = std::size_t{64} << 20;      // bytes taken before the machine is asked again

shadow_plan completed(shadow_plan plan) noexcept {
  if (plan.max_mappings == 0) plan.max_mappings = std::max<std::size_t>(platform::mapping_limit() / 4, 64);
  if (plan.max_address_bytes == 0) plan.max_address_bytes = kDefaultAddresses;
  if (plan.hold.reuse == shadow_reuse::quarantine && plan.hold.bytes == 0 && plan.hold.nanoseconds == 0) {
    plan.hold.bytes = kDefaultHold;
  }
  plan.batch_blocks = std::max<std::size_t>(plan.batch_blocks, 1);
  return plan;
}

}  // namespace

shadow_pool::shadow_pool(const shadow_plan& plan) noexcept
    : plan_(completed(plan)),
      space_(shadow_space::of_process()),
      guards_(plan_.max_mappings / 2, guard_ground::own),
      hook_(lock_rank::shadow_fork,  // between the pools' locks and that of the space
            {.prepare = [](void* self) noexcept { static_cast<shadow_pool*>(self)->copy_for_child(); },
             .parent = [](void* self) noexcept { static_cast<shadow_pool*>(self)->drop_copy(); },
             .child = [](void* self) noexcept { static_cast<shadow_pool*>(self)->become_child(); }},
            this),
      addresses_(space_, this, plan_.name, plan_.max_address_bytes, plan_.hold),
      mappings_(space_, object_, addresses_, guards_, plan_.max_mappings),
      mirrors_(space_, mappings_),
      exits_(space_, guards_, mappings_, mirrors_, slabs_),
      batch_({.blocks = plan_.batch_blocks, .bytes = plan_.batch_bytes, .nanoseconds = plan_.batch_nanoseconds}),
      timer_(plan_.decay) {
  hook_refused_ = platform::at_fork(hook_);  // all that a fork copies is there
}

os_error shadow_pool::open() noexcept {
  const lock guard(lock_);
  unopened_ = make();
  return unopened_;
}

os_error shadow_pool::make() noexcept {
  if (const os_error refused = space_.open(); refused.failed()) return refused;
  if (const os_error refused = batch_.open(); refused.failed()) return refused;
  return object_.make(plan_.name);
}

shadow_pool::~shadow_pool() {
  platform::cancel(hook_);
  const lock guard(lock_);  // what a thread that forked did here is seen by what follows
}

os_error shadow_pool::unknown_to_fork() const noexcept {
  return hook_refused_.failed() ? hook_refused_ : lock_.unknown_to_fork();
}

// --- allocating ------------------------------------------------------------------------------------------------------

bool shadow_pool::may_take(std::size_t bytes, served& answer) noexcept {
  if (plan_.max_memory_bytes != 0 && bytes > plan_.max_memory_bytes - std::min(memory_, plan_.max_memory_bytes)) {
    answer = {nullptr, shadow_refusal::memory, {}};
    return false;
  }
  if (headroom_seen_ < bytes) {
    // Shared memory without a name knows no bound but the machine, and beyond that the process is killed.
    const std::size_t there = measure_headroom().at_once;
    if (there != 0 && there < bytes) {
      answer = {nullptr, shadow_refusal::machine, {}};
      return false;
    }
    headroom_seen_ = there == 0 ? std::max(bytes, kBetweenLooks) : std::max(bytes, std::min(there / 4, kBetweenLooks));
  }
  headroom_seen_ -= bytes;
  return true;
}

void shadow_pool::make_room_for_mapping() noexcept {
  slow_way_ = true;
  if (mappings_.has_room()) return;
  slabs_.visit([this](shadow_slab* slab) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock
    mirrors_.close_idle(slab);
  });
}

shadow_mappings::made shadow_pool::make_mirror(shadow_slab* slab, std::uint32_t page, std::uint32_t pages) noexcept {
  make_room_for_mapping();
  return mirrors_.open(slab, page, pages);
}

std::size_t shadow_pool::class_for(std::size_t bytes, std::size_t alignment) const noexcept {
  const std::size_t last = size_class::last_byte(std::max<std::size_t>(bytes, 1), alignment);
  if (last >= largest_slot) return size_class::count;
  const std::size_t c = size_class::with(last);
  if (alignment <= space_.page_size()) return c;
  const shadow_shape shape = shadow_shape::of(size_class::bytes(c), space_.page_size());
  return shape.unit_pages * space_.page_size() % alignment == 0 ? c : size_class::count;
}

bool shadow_pool::may_serve(std::size_t bytes, std::size_t alignment, served& refused) const noexcept {
  if (!object_.is_there()) {
    refused = {nullptr, forked_ ? shadow_refusal::forked : shadow_refusal::os, unopened_};
    return false;
  }
  if (bytes > shadow_note::max_bytes || alignment > space_.zone_bytes()) {
    refused = {nullptr, shadow_refusal::too_large, {}};
    return false;
  }
  return true;
}

shadow_pool::served shadow_pool::allocate(std::size_t bytes, std::size_t alignment, std::uint32_t made) noexcept {
  const lock guard(lock_);
  served answer;
  if (!may_serve(bytes, alignment, answer)) return answer;
  if (batch_.is_old()) flush_locked();
  const std::size_t c = class_for(bytes, alignment);
  const shadow_note note{
      .state = shadow_state::live, .alignment_log2 = log2_floor(alignment), .bytes = bytes, .made = made};
  for (;;) {
    answer = c < size_class::count ? allocate_slot(c, note) : allocate_large(note);
    if (answer.block != nullptr || batch_.blocks() == 0) break;
    flush_locked();  // what waits for a guard holds slots and mappings
  }
  let_go_if_due();
  return answer;
}

// A slab with a free slot, or with pages that may be opened.
shadow_pool::room shadow_pool::find_room(std::size_t c) noexcept {
  room found;
  if (slabs_.with_room(c) == nullptr) {
    const shadow_slabs::made made = slabs_.make(c, object_);
    if (made.slab == nullptr && !slabs_.list_any(c)) {
      found.refused = {nullptr, shadow_refusal::os, made.error};
      return found;
    }
  }
  found.slab = slabs_.with_room(c);
  const std::uint32_t opening = found.slab->pages_to_open();
  found.may_open = opening != 0 && may_take(opening * space_.page_size(), found.refused);
  if (opening == 0 || found.may_open || found.slab->has_open_slot()) return found;
  // No memory for more pages: any slot will do that is free in another slab of the class.
  found.slab = slabs_.with_open_slot(c);
  return found;
}

shadow_pool::served shadow_pool::allocate_slot(std::size_t c, const shadow_note& note) noexcept {
  const room found = find_room(c);
  if (found.slab == nullptr) return found.refused;
  shadow_slab* const slab = found.slab;
  const std::uint32_t before = slab->opened_pages();
  const shadow_slab::place where = slab->choose(found.may_open);
  const std::uint32_t opened = slab->opened_pages() - before;
  memory_ += opened * space_.page_size();

  const std::uint32_t number = slab->mirror_for(where);
  if (number == slab->next_mirror()) {
    const shadow_mappings::made mirror = make_mirror(slab, where.first, slab->pages_in_a_row(where));
    if (mirror.mapping == shadow_mappings::none) return {nullptr, mirror.why, mirror.error};
  }
  const std::size_t first_page = shadow_space::first_page_of(slab->mirror(number));
  if (opened != 0) {
    const os_error refused = platform::prefault(space_.base_of_page(first_page + before), opened * space_.page_size());
    if (refused.failed()) return {nullptr, shadow_refusal::os, refused};
  }
  mirrors_.use(slab, where, number);
  slabs_.took(slab);

  const std::size_t start = slab->start_of(where);
  shadow_note placed = note;
  placed.offset = start & (space_.page_size() - 1);
  space_.write_block(first_page + where.first, placed);
  return {space_.base_of_page(first_page) + start, shadow_refusal::none, {}};
}

shadow_pool::served shadow_pool::allocate_large(const shadow_note& note) noexcept {
  const std::size_t rounded = run_bytes_for(std::max<std::size_t>(note.bytes, 1));
  served answer;
  if (!may_take(rounded, answer)) return answer;
  make_room_for_mapping();
  if (!mappings_.has_room())
    return {nullptr, shadow_refusal::mappings, {}};  // rather than use up a piece of the object
  const std::uint64_t offset = object_.take(rounded);
  if (offset == shadow_object::no_offset) return {nullptr, shadow_refusal::os, shadow_object::too_small()};
  const std::size_t aligned = (std::size_t{1} << note.alignment_log2) / space_.strip_bytes();
  const shadow_mappings::made made =
      mappings_.make(offset, rounded / space_.page_size(), std::max<std::size_t>(aligned, 1));
  if (made.mapping == shadow_mappings::none) {
    object_.take_back(offset);
    return {nullptr, made.why, made.error};
  }
  memory_ += rounded;
  large_ += rounded;
  space_.strip(made.mapping).live = 1;
  const std::size_t page = shadow_space::first_page_of(made.mapping);
  space_.write_block(page, note);
  return {space_.base_of_page(page), shadow_refusal::none, {}};
}

// All pages of the slab open, and mirrors for all its slots.
shadow_pool::served shadow_pool::make_ready(shadow_slab* slab) noexcept {
  slab->reserved = true;
  const std::uint32_t closed = slab->pages() - slab->opened_pages();
  served refused;
  if (!may_take(closed * space_.page_size(), refused)) return refused;
  memory_ += slab->open_all() * space_.page_size();
  while (slab->fresh_mirrors() < slab->shape().unit_slots) {
    const shadow_mappings::made mirror = make_mirror(slab, 0, slab->pages());
    if (mirror.mapping == shadow_mappings::none) return {nullptr, mirror.why, mirror.error};
  }
  return {};
}

shadow_pool::served shadow_pool::reserve(std::size_t bytes, std::size_t alignment, std::size_t blocks) noexcept {
  const lock guard(lock_);
  served refused;
  if (!may_serve(bytes, alignment, refused)) return refused;
  const std::size_t c = class_for(bytes, alignment);
  if (c == size_class::count) return {};  // a large block has a mapping of its own
  std::size_t ready = 0;
  for (shadow_slab* slab = slabs_.with_room(c); slab != nullptr && ready < blocks; slab = slab->next) {
    if (refused = make_ready(slab); refused.why != shadow_refusal::none) return refused;
    ready += slab->free_slots();
  }
  while (ready < blocks) {
    const shadow_slabs::made made = slabs_.make(c, object_);
    if (made.slab == nullptr) return {nullptr, shadow_refusal::os, made.error};
    if (refused = make_ready(made.slab); refused.why != shadow_refusal::none) return refused;
    ready += made.slab->free_slots();
  }
  return {};
}

// --- deallocating ----------------------------------------------------------------------------------------------------

shadow_pool::taken shadow_pool::look_at(const void* p, std::size_t bytes, std::size_t alignment) const noexcept {
  if (!owns(p)) return {shadow_answer::no_block, nullptr, {}};  // its zone went back meanwhile
  const shadow_space::found found = space_.block_at(p);
  if (!found.is_there) return {shadow_answer::no_block, nullptr, {}};
  const auto answer = [&found](shadow_answer what) { return taken{what, found.block, found.note}; };
  if (p != found.block) {
    const bool within = address(p) - address(found.block) < found.note.bytes;
    return answer(within ? shadow_answer::inside : shadow_answer::no_block);
  }
  if (found.note.state != shadow_state::live) return answer(shadow_answer::freed_before);
  if (bytes != found.note.bytes) return answer(shadow_answer::wrong_size);
  if (log2_floor(alignment) != found.note.alignment_log2) return answer(shadow_answer::wrong_alignment);
  return answer(shadow_answer::freed);
}

shadow_pool::taken shadow_pool::deallocate(void* p, std::size_t bytes, std::size_t alignment,
                                           std::uint32_t freed) noexcept {
  taken found;
  const std::size_t page = space_.page_of(p);
  {
    const lock guard(lock_);
    found = look_at(p, bytes, alignment);
    if (found.answer != shadow_answer::freed) return found;
    found.note.state = shadow_state::leaving;
    found.note.freed = freed;
    space_.record(page).write(found.note);
    shadow_strip& mapping = space_.strip(space_.mapping_of(page));
    ++mapping.leaving;
    if (mapping.slab == nullptr) {
      leave_large(page);
      return found;
    }
    if (batch_.is_on()) {
      batch_.add(static_cast<std::uint32_t>(page), mapping.slab->shape().slot_bytes);
      if (batch_.is_full() || batch_.is_old()) flush_locked();
      let_go_if_due();
      return found;
    }
  }
  // Nobody else changes this record or takes the slot before the block has left.
  const std::size_t pages = space_.last_page_of(page, found.note) - page + 1;
  const page_guards::means how = guards_.set(space_.base_of_page(page), pages * space_.page_size()).by;
  const lock guard(lock_);
  exits_.leave(page, how);
  let_go_if_due();
  return found;
}

// Its mapping is its own: what guards it frees its addresses at the same time.
void shadow_pool::leave_large(std::size_t page) noexcept {
  const std::uint32_t id = space_.mapping_of(page);
  shadow_strip& mapping = space_.strip(id);
  const std::uint64_t offset = mapping.offset;
  const std::size_t bytes = mapping.pages * space_.page_size();
  mapping.live = 0;
  mapping.leaving = 0;
  space_.record(page).set_state(shadow_state::dead);
  ++large_guarded_;
  mappings_.retire(id);
  large_ -= bytes;
  if (!object_.give_back(offset, bytes).failed()) memory_ -= bytes;
}

std::size_t shadow_pool::flush_locked() noexcept {
  const std::span<const std::uint32_t> batch = batch_.sorted();
  exits_.leave_all(batch);
  batch_.clear();
  return batch.size();
}

std::size_t shadow_pool::flush() noexcept {
  const lock guard(lock_);
  return flush_locked();
}

// --- giving back -----------------------------------------------------------------------------------------------------

// A slab's memory and its mirrors, if it has no block.
bool shadow_pool::give_back(shadow_slab* slab) noexcept {
  if (slab->live() != 0) return false;
  mirrors_.close_all(slab);
  const std::size_t bytes = slab->opened_pages() * space_.page_size();
  if (bytes != 0 && object_.give_back(slab->offset(), bytes).failed()) return false;
  memory_ -= bytes;
  return true;
}

std::size_t shadow_pool::trim() noexcept {
  const lock guard(lock_);
  if (!object_.is_there()) return 0;
  flush_locked();
  const std::size_t before = memory_;
  slabs_.end_if([this](shadow_slab* slab) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock
    return give_back(slab);
  });
  addresses_.end_quarantine(platform::monotonic_ns());
  addresses_.trim();
  return before - memory_;
}

void shadow_pool::let_go(std::uint64_t now) noexcept {
  slabs_.end_if([this, now](shadow_slab* slab) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock
    return shadow_slabs::is_unused(slab, plan_.decay, now) && give_back(slab);
  });
  addresses_.end_quarantine(now);
  addresses_.let_go(plan_.decay, now);
}

void shadow_pool::let_go_if_due() noexcept {
  const bool emptied = slabs_.forget_emptied();
  if (!std::exchange(slow_way_, false) && !emptied) return;
  if (std::uint64_t now = 0; timer_.is_due(now)) let_go(now);
}

std::size_t shadow_pool::tick(std::uint64_t now) noexcept {
  const lock guard(lock_);
  if (!object_.is_there()) return 0;
  if (batch_.is_old(now)) flush_locked();
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  const std::size_t before = memory_;
  let_go(now);
  return before - memory_;
}

// --- figures and check -----------------------------------------------------------------------------------------------

shadow_figures shadow_pool::figures() const noexcept {
  const lock guard(lock_);
  return {.memory = memory_,
          .held = slabs_.held() + large_,
          .mappings = mappings_.cost(),
          .addresses = addresses_.bytes(),
          .quarantined = addresses_.quarantined(),
          .waiting = batch_.blocks(),
          .waiting_bytes = batch_.bytes(),
          .guarded = exits_.guarded() + large_guarded_,
          .exposed = exits_.exposed() + mappings_.exposed(),
          .calls = exits_.calls() + large_guarded_};
}

const char* shadow_pool::check() const noexcept {
  const lock guard(lock_);
  if (const char* const wrong = slabs_.check(); wrong != nullptr) return wrong;
  std::size_t slots = 0;
  slabs_.visit([&slots](const shadow_slab* slab) { slots += slab->live(); });
  shadow_mirrors::sum of;
  if (const char* const wrong = mirrors_.check(addresses_, of); wrong != nullptr) return wrong;
  if (slots != of.blocks) return "shadow slabs and their mirrors count different blocks";
  if (of.mappings != mappings_.count()) return "the mappings of a shadow pool are not as many as it counts";
  if (batch_.is_on() && of.leaving != batch_.blocks()) return "blocks wait for a guard that are in no batch";
  return nullptr;
}

// --- fork ------------------------------------------------------------------------------------------------------------

// By the thread that forks, before it does: what other threads write to their blocks meanwhile may or may not be in the
// copy, but nothing that the forking thread could have seen is missing.
void shadow_pool::copy_for_child() noexcept {
  if (!object_.is_there() || !plan_.copy_at_fork || addresses_.zones() == 0) return;
  const std::size_t there = measure_headroom().at_once;
  if (there != 0 && there < memory_) return;
  if (copy_.make_twin(object_, plan_.name).failed()) return;
  if (!copy_all()) copy_.close();
}

bool shadow_pool::copy_all() noexcept {
  shadow_object::copier pieces(object_, copy_);
  bool good = true;
  slabs_.visit([&](const shadow_slab* slab) {
    good = good && pieces.copy(slab->offset(), slab->opened_pages() * space_.page_size());
  });
  addresses_.visit_mappings([&](std::uint32_t, const shadow_strip& m) {
    if (m.slab == nullptr && good) good = pieces.copy(m.offset, m.pages * space_.page_size());
  });
  return good;
}

void shadow_pool::drop_copy() noexcept { copy_.close(); }

void shadow_pool::become_child() noexcept {
  if (!object_.is_there()) return;
  if (addresses_.zones() == 0) {  // nothing to copy, but what is to come must not be the parent's as well
    static_cast<void>(copy_.make_twin(object_, plan_.name));
    object_ = std::move(copy_);
  } else if (copy_.is_there() && mappings_.map_again(copy_)) {
    object_ = std::move(copy_);
    // Guards went with what was mapped. A thread that is not in the child was about to set some more.
    addresses_.visit_mappings([this](std::uint32_t id, const shadow_strip&)
                                  ABSL_NO_THREAD_SAFETY_ANALYSIS { exits_.guard_again(id, !batch_.is_on()); });
  } else {
    copy_.close();
    object_.close();
    mappings_.seal_off();
  }
  forked_.store(!object_.is_there(), std::memory_order_relaxed);
}

}  // namespace strata::mem
