// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

module strata.mem:shadow_pool.impl;

import :budget;
import :bytes;
import :list;
import :lock_watch;
import :mutex;
import :page_run;
import :shadow_pool;
import :shadow_slab;
import :shadow_space;
import :size_class;

import strata.platform;

namespace strata::mem {

namespace {

constexpr std::size_t kDefaultAddresses = std::size_t{64} << 30;   // bytes
constexpr std::size_t kDefaultHold = std::size_t{4} << 30;         // bytes
constexpr std::uint32_t kFewestPages = shadow_space::strip_pages;  // of a slab
constexpr std::uint32_t kMostPages = 1024;
constexpr std::size_t kBetweenLooks = std::size_t{64} << 20;  // bytes taken before the machine is asked again
constexpr std::uint32_t kBetweenClocks = 32;                  // calls

std::size_t strips_for(std::size_t pages) noexcept {
  return (pages + shadow_space::strip_pages - 1) / shadow_space::strip_pages;
}

shadow_plan completed(shadow_plan plan) noexcept {
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
      support_(platform::guards_supported()),
      hook_(lock_rank::shadow_fork,  // between the pools' locks and that of the space
            {.prepare = [](void* self) noexcept { static_cast<shadow_pool*>(self)->copy_for_child(); },
             .parent = [](void* self) noexcept { static_cast<shadow_pool*>(self)->drop_copy(); },
             .child = [](void* self) noexcept { static_cast<shadow_pool*>(self)->become_child(); }},
            this),
      hook_refused_(platform::at_fork(hook_)) {}

os_error shadow_pool::open() noexcept {
  const lock guard(lock_);
  unopened_ = make();
  return unopened_;
}

os_error shadow_pool::make() noexcept {
  if (const os_error refused = space_.open(); refused.failed()) return refused;
  const std::size_t limit = platform::mapping_limit();
  max_mappings_ = plan_.max_mappings != 0 ? plan_.max_mappings : std::max<std::size_t>(limit / 4, 64);
  max_addresses_ = plan_.max_address_bytes != 0 ? plan_.max_address_bytes : kDefaultAddresses;

  if (plan_.batch_blocks > 1) {
    std::size_t bytes = 0;
    if (!checked_multiply(plan_.batch_blocks, sizeof(std::uint32_t), bytes)) return {"mmap", ENOMEM};
    const page_run_result batch = map_run(bytes, page_bytes(), {});
    if (batch.run.base == nullptr) return batch.error;
    batch_memory_ = batch.run;
    batch_ = at<std::uint32_t>(batch.run.base, 0);
  }
  const platform::shared_object object = make_object();
  object_ = object.descriptor;
  return object.error;
}

// As large as it may become: what is never touched costs nothing. A process may be limited in the files it makes.
platform::shared_object shadow_pool::make_object() noexcept {
  const platform::shared_object object = platform::create_unnamed(plan_.name);
  if (object.descriptor < 0) return object;
  os_error refused;
  std::uint64_t bytes = object_size_ != 0 ? object_size_ : std::uint64_t{1} << 60;
  for (; bytes >= std::uint64_t{1} << 20; bytes >>= 2) {
    refused = platform::resize(object.descriptor, bytes);
    if (!refused.failed() || object_size_ != 0) break;
  }
  if (!refused.failed()) refused = platform::seal_size(object.descriptor);
  if (refused.failed()) {
    platform::close_object(object.descriptor);
    return {-1, refused};
  }
  object_size_ = bytes;
  return object;
}

shadow_pool::~shadow_pool() {
  platform::cancel(hook_);
  const lock guard(lock_);
  while (zones_ != no_zone) {
    std::uint32_t first = zones_;
    std::uint32_t count = 1;
    std::uint32_t rest = space_.zone(first).next;
    while (rest == first - 1 && first != 0) {
      first = rest;
      rest = space_.zone(first).next;
      ++count;
    }
    zones_ = rest;
    // Refused only at the limit of mappings, and not for what lies whole in it; then guards stand as far as they go.
    static_cast<void>(platform::reserve_again(space_.base_of_zone(first), count * space_.zone_bytes()));
    space_.release(first, count, plan_.hold);
  }
  while (all_ != nullptr) {
    shadow_slab* const slab = all_;
    all_ = slab->elder;
    shadow_slab::unmake(slab);
  }
  if (object_ >= 0) platform::close_object(object_);
  if (batch_memory_.base != nullptr) static_cast<void>(unmap_run(batch_memory_));
}

os_error shadow_pool::unknown_to_fork() const noexcept {
  return hook_refused_.failed() ? hook_refused_ : lock_.unknown_to_fork();
}

// --- what may be taken -----------------------------------------------------------------------------------------------

bool shadow_pool::may_take(std::size_t bytes, served& answer) noexcept {
  if (plan_.max_memory_bytes != 0 &&
      bytes > plan_.max_memory_bytes - std::min(figures_.memory, plan_.max_memory_bytes)) {
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

// That this pool costs the process: its own, what is between them in each zone, and pieces of those with protected pages.
std::size_t shadow_pool::mappings() const noexcept {
  return figures_.mappings + zone_count_ + split_.load(std::memory_order_relaxed);
}

bool shadow_pool::may_map() noexcept {
  if (mappings() < max_mappings_) return true;
  for (shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) close_mirrors(slab, true);
  return mappings() < max_mappings_;
}

// The oldest first; if `idle`, only up to the first with a block.
void shadow_pool::close_mirrors(shadow_slab* slab, bool idle) noexcept {
  for (std::uint32_t id = slab->oldest_mirror(); id != shadow_slab::no_mirror; id = slab->oldest_mirror()) {
    if (idle && space_.strip(id).live != 0) return;
    slab->close_oldest();
    close(id);
  }
}

// --- addresses -------------------------------------------------------------------------------------------------------

shadow_pool::served shadow_pool::claim_zones(std::uint32_t count) noexcept {
  if (count > (max_addresses_ - std::min(max_addresses_, figures_.addresses)) / space_.zone_bytes()) {
    return {nullptr, shadow_refusal::addresses, {}};
  }
  const std::uint32_t first = space_.claim(count, this, plan_.name);
  if (first == no_zone) return {nullptr, shadow_refusal::addresses, {}};
  for (std::uint32_t z = first; z < first + count; ++z) {
    shadow_zone& zone = space_.zone(z);
    zone.free.fill(~std::uint64_t{0});
    zone.free_strips = shadow_zone::strips;
    zone.next = zones_;
    zones_ = z;
  }
  zone_count_ += count;
  figures_.addresses += count * space_.zone_bytes();
  return {space_.base_of_zone(first), shadow_refusal::none, {}};
}

bool shadow_pool::find_in_zone(std::uint32_t z, std::uint32_t from, std::uint32_t count, std::size_t aligned,
                               std::uint32_t& first) noexcept {
  const shadow_zone& zone = space_.zone(z);
  if (zone.free_strips < count) return false;
  std::uint32_t start = from;
  for (std::uint32_t s = from; s < shadow_zone::strips; ++s) {
    if ((zone.free[s / 64] >> s % 64 & 1) == 0 || start % aligned != 0) {
      start = s + 1;
    } else if (s + 1 - start == count) {
      first = z * static_cast<std::uint32_t>(shadow_zone::strips) + start;
      cursor_zone_ = z;
      cursor_strip_ = (start + count) % shadow_zone::strips;
      return true;
    }
  }
  return false;
}

// Next fit: addresses stay unused as long as they can.
bool shadow_pool::find_strips(std::uint32_t count, std::size_t aligned, std::uint32_t& first) noexcept {
  for (std::uint32_t z = cursor_zone_, from = cursor_strip_; z != no_zone; z = space_.zone(z).next, from = 0) {
    if (find_in_zone(z, from, count, aligned, first)) return true;
  }
  for (std::uint32_t z = zones_; z != no_zone; z = space_.zone(z).next) {
    if (find_in_zone(z, 0, count, aligned, first)) return true;
  }
  return false;
}

shadow_pool::served shadow_pool::take_strips(std::uint32_t count, std::size_t aligned) noexcept {
  end_quarantine();
  std::uint32_t first = 0;
  if (count > shadow_zone::strips) {
    const served zones =
        claim_zones(static_cast<std::uint32_t>((count + shadow_zone::strips - 1) / shadow_zone::strips));
    if (zones.block == nullptr) return zones;
    first = static_cast<std::uint32_t>(space_.page_of(zones.block) / shadow_space::strip_pages);
  } else if (!find_strips(count, aligned, first)) {
    const served zone = claim_zones(1);
    if (zone.block == nullptr) return zone;
    static_cast<void>(find_strips(count, aligned, first));
  }
  for (std::uint32_t s = first; s < first + count; ++s) {
    shadow_zone& zone = space_.zone(s / static_cast<std::uint32_t>(shadow_zone::strips));
    const std::uint32_t bit = s % shadow_zone::strips;
    zone.free[bit / 64] &= ~(std::uint64_t{1} << bit % 64);
    --zone.free_strips;
  }
  return {space_.base_of_page(first * shadow_space::strip_pages), shadow_refusal::none, {}};
}

void shadow_pool::free_strips(std::uint32_t first, std::uint32_t count) noexcept {
  for (std::uint32_t s = first; s < first + count; ++s) {
    space_.strip(s) = {};
    for (std::size_t p = s * shadow_space::strip_pages; p < (s + 1) * shadow_space::strip_pages; ++p) {
      space_.record(p).write({});
    }
    shadow_zone& zone = space_.zone(s / static_cast<std::uint32_t>(shadow_zone::strips));
    const std::uint32_t bit = s % shadow_zone::strips;
    zone.free[bit / 64] |= std::uint64_t{1} << bit % 64;
    ++zone.free_strips;
  }
}

void shadow_pool::end_quarantine() noexcept {
  if (oldest_ == nothing) return;
  const std::uint64_t now = plan_.hold.nanoseconds == 0 ? 0 : platform::monotonic_ns();
  while (oldest_ != nothing) {
    const shadow_strip dead = space_.strip(oldest_);
    const bool too_many = plan_.hold.bytes != 0 && figures_.quarantined > plan_.hold.bytes;
    const bool too_old = plan_.hold.nanoseconds != 0 && now - dead.died >= plan_.hold.nanoseconds;
    if (!too_many && !too_old) return;
    figures_.quarantined -= dead.count * space_.strip_bytes();
    free_strips(oldest_, dead.count);
    oldest_ = dead.next;
  }
  newest_ = nothing;
}

// --- mappings --------------------------------------------------------------------------------------------------------

shadow_pool::served shadow_pool::map_strips(std::size_t pages, std::size_t aligned, std::uint64_t offset) noexcept {
  if (!may_map()) return {nullptr, shadow_refusal::mappings, {}};
  const auto count = static_cast<std::uint32_t>(strips_for(pages));
  const served strips = take_strips(count, aligned);
  if (strips.block == nullptr) return strips;
  const auto first = static_cast<std::uint32_t>(space_.page_of(strips.block) / shadow_space::strip_pages);
  const os_error refused = platform::map_object_over(object_, offset, pages * space_.page_size(), strips.block);
  if (refused.failed()) {
    free_strips(first, count);
    return {nullptr, refused.code == ENOMEM ? shadow_refusal::mappings : shadow_refusal::os, refused};
  }
  for (std::uint32_t s = first; s < first + count; ++s) space_.strip(s).first = first;
  shadow_strip& made = space_.strip(first);
  made.offset = offset;
  made.count = count;
  made.pages = static_cast<std::uint32_t>(pages);
  made.mapped = true;
  ++figures_.mappings;
  return strips;
}

shadow_pool::served shadow_pool::make_slab(std::size_t c) noexcept {
  const shadow_shape shape = shadow_shape::of(size_class::bytes(c), space_.page_size());
  const std::uint32_t pages = std::bit_floor(std::clamp(classes_[c].pages, kFewestPages, kMostPages));
  const std::uint32_t units = pages / shape.unit_pages;
  const std::uint64_t bytes = std::uint64_t{units} * shape.unit_pages * space_.page_size();
  if (bytes > object_size_ - object_end_) return {nullptr, shadow_refusal::os, {"ftruncate", EFBIG}};
  const shadow_slab::made made = shadow_slab::make(shape, units, object_end_);
  if (made.slab == nullptr) return {nullptr, shadow_refusal::os, made.error};
  object_end_ += bytes;
  made.slab->size_class = static_cast<std::uint32_t>(c);
  made.slab->elder = all_;
  all_ = made.slab;
  classes_[c].pages += made.slab->pages();
  list(made.slab);
  return {};
}

void shadow_pool::list(shadow_slab* slab) noexcept {
  if (slab->listed) return;
  link_front(classes_[slab->size_class].with_room, slab);
  slab->listed = true;
}

// Lists a slab of the class that has room, though little. False when there is none.
bool shadow_pool::list_any(std::size_t c) noexcept {
  for (shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) {
    if (slab->size_class == c && !slab->is_full()) {
      list(slab);
      return true;
    }
  }
  return false;
}

void shadow_pool::unlist(shadow_slab* slab) noexcept {
  if (!slab->listed) return;
  unlink(classes_[slab->size_class].with_room, slab);
  slab->listed = false;
}

// The newest mirror, with these of its pages ready.
shadow_pool::served shadow_pool::make_mirror(shadow_slab* slab, std::uint32_t page, std::uint32_t pages) noexcept {
  const served mirror = map_strips(slab->pages(), 1, slab->offset());
  if (mirror.block == nullptr) return mirror;
  const auto id = static_cast<std::uint32_t>(space_.page_of(mirror.block) / shadow_space::strip_pages);
  // One call for what would be a fault for each page. A page that cannot be had is found out here, not by a signal.
  const os_error refused = platform::enter(space_.base_of_page(std::size_t{id} * shadow_space::strip_pages + page),
                                           pages * space_.page_size());
  space_.strip(id).slab = slab;
  space_.strip(id).number = slab->next_mirror();
  const std::uint32_t last = slab->newest_mirror();
  const std::uint32_t closed = slab->push_mirror(id);
  if (closed != shadow_slab::no_mirror) close(closed);
  if (last != shadow_slab::no_mirror && last != closed) retire_if_idle(last);
  if (refused.failed()) return {nullptr, shadow_refusal::os, refused};
  return mirror;
}

void shadow_pool::close(std::uint32_t id) noexcept {
  shadow_strip& mirror = space_.strip(id);
  mirror.closed = true;
  retire_if_spent(id);
}

void shadow_pool::retire_if_spent(std::uint32_t id) noexcept {
  const shadow_strip& mirror = space_.strip(id);
  if (mirror.live == 0 && (mirror.closed || mirror.spent == mirror.pages)) retire(id);
}

// Whether a mirror whose last block leaves, or left, has done its duty. Pages of it may be unused; but pages that are used
// more often than others made a newer one necessary, and that serves all.
bool shadow_pool::may_go(const shadow_strip& mirror) noexcept {
  return mirror.closed || mirror.spent == mirror.pages || mirror.number + 1 != mirror.slab->next_mirror();
}

void shadow_pool::retire_if_idle(std::uint32_t id) noexcept {
  const shadow_strip& mirror = space_.strip(id);
  if (mirror.live == 0 && mirror.spent != 0 && may_go(mirror)) retire(id);
}

// What is dead is replaced by nothing, in one call; aliases and guards are gone with it, and it faults all the same.
void shadow_pool::retire(std::uint32_t id) noexcept {
  const shadow_strip& gone = space_.strip(id);
  const std::size_t first = std::size_t{id} * shadow_space::strip_pages;
  if (platform::reserve_again(space_.base_of_page(first), gone.count * space_.strip_bytes()).failed() &&
      guard_pages(first, first + gone.pages - 1) == barrier::none) {
    figures_.exposed += gone.spent;  // as many blocks at most
  }
  put_to_rest(id);
}

// Nothing is mapped there any more.
void shadow_pool::put_to_rest(std::uint32_t id) noexcept {
  shadow_strip& gone = space_.strip(id);
  if (gone.slab != nullptr) gone.slab->drop_mirror(gone.number);
  gone.mapped = false;
  gone.slab = nullptr;
  --figures_.mappings;
  split_.fetch_sub(gone.split, std::memory_order_relaxed);
  if (plan_.hold.reuse != shadow_reuse::quarantine) return;
  gone.died = platform::monotonic_ns();
  gone.next = nothing;
  (oldest_ == nothing ? oldest_ : space_.strip(newest_).next) = id;
  newest_ = id;
  figures_.quarantined += gone.count * space_.strip_bytes();
}

// --- allocating ------------------------------------------------------------------------------------------------------

std::size_t shadow_pool::class_for(std::size_t bytes, std::size_t alignment) const noexcept {
  const std::size_t last = size_class::last_byte(std::max<std::size_t>(bytes, 1), alignment);
  if (last >= largest_slot) return size_class::count;
  const std::size_t c = size_class::with(last);
  if (alignment <= space_.page_size()) return c;
  const shadow_shape shape = shadow_shape::of(size_class::bytes(c), space_.page_size());
  return shape.unit_pages * space_.page_size() % alignment == 0 ? c : size_class::count;
}

shadow_pool::served shadow_pool::allocate(std::size_t bytes, std::size_t alignment, std::uint32_t made) noexcept {
  const lock guard(lock_);
  if (object_ < 0) return {nullptr, forked_ ? shadow_refusal::forked : shadow_refusal::os, unopened_};
  if (bytes > shadow_note::max_bytes || alignment > space_.zone_bytes())
    return {nullptr, shadow_refusal::too_large, {}};
  flush_if_old();
  const std::size_t c = class_for(bytes, alignment);
  for (;;) {
    const served answer =
        c < size_class::count ? allocate_slot(c, bytes, alignment, made) : allocate_large(bytes, alignment, made);
    if (answer.block != nullptr || figures_.waiting == 0) return answer;
    flush_locked();  // what waits for a guard holds slots and mappings
  }
}

// A slab with a free slot, or with pages that may be opened.
shadow_pool::room shadow_pool::find_room(std::size_t c) noexcept {
  room found;
  if (classes_[c].with_room == nullptr) {
    found.refused = make_slab(c);
    if (found.refused.why != shadow_refusal::none && !list_any(c)) return found;
  }
  found.slab = classes_[c].with_room;
  const std::uint32_t opening = found.slab->pages_to_open();
  found.may_open = opening != 0 && may_take(opening * space_.page_size(), found.refused);
  if (opening == 0 || found.may_open || found.slab->has_open_slot()) return found;
  // No memory for more pages: any slot will do that is free in another slab of the class.
  found.slab = nullptr;
  for (shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) {
    if (slab->size_class == c && slab->has_open_slot()) found.slab = slab;
  }
  return found;
}

shadow_pool::served shadow_pool::allocate_slot(std::size_t c, std::size_t bytes, std::size_t alignment,
                                               std::uint32_t made) noexcept {
  const room found = find_room(c);
  if (found.slab == nullptr) return found.refused;
  shadow_slab* const slab = found.slab;
  const std::uint32_t before = slab->opened_pages();
  const shadow_slab::place where = slab->choose(found.may_open);
  const std::uint32_t opened = slab->opened_pages() - before;
  figures_.memory += opened * space_.page_size();

  const std::uint32_t number = slab->mirror_for(where);
  if (number == slab->next_mirror()) {
    const served mirror = make_mirror(slab, where.first, slab->pages_in_a_row(where));
    if (mirror.block == nullptr) return mirror;
  }
  const std::uint32_t id = slab->mirror(number);
  shadow_strip& mirror = space_.strip(id);
  const std::size_t first_page = std::size_t{id} * shadow_space::strip_pages;
  if (opened != 0) {
    const os_error refused = platform::prefault(space_.base_of_page(first_page + before), opened * space_.page_size());
    if (refused.failed()) return {nullptr, shadow_refusal::os, refused};
  }

  ++mirror.live;  // so that taking does not retire it
  for (std::uint32_t p = where.first; p <= where.last; ++p) {
    for (std::uint32_t n = slab->unspent_from(p); n <= number; ++n) {
      const std::uint32_t spent = slab->mirror(n);
      if (spent == shadow_slab::no_mirror) continue;
      ++space_.strip(spent).spent;
      retire_if_spent(spent);
    }
  }
  slab->take(where, number);
  if (slab->is_full()) unlist(slab);
  figures_.held += slab->shape().slot_bytes;

  const std::size_t start = slab->start_of(where);
  const std::size_t page = first_page + where.first;
  note_block(page, {.state = shadow_state::live,
                    .alignment_log2 = log2_floor(alignment),
                    .offset = start % space_.page_size(),
                    .bytes = bytes,
                    .made = made});
  return {space_.base_of_page(first_page) + start, shadow_refusal::none, {}};
}

// Records of a new block: of its first page all there is to know, of the others how far that is.
void shadow_pool::note_block(std::size_t page, const shadow_note& note) noexcept {
  space_.record(page).write(note);
  const std::size_t last = last_page_of(page, note);
  const std::size_t step = last - page < shadow_space::strip_pages ? 1 : shadow_space::strip_pages;
  for (std::size_t p = page + step; p <= last; p += step) {
    space_.record(p).write({.state = shadow_state::inside, .bytes = p - page});
  }
}

shadow_pool::served shadow_pool::allocate_large(std::size_t bytes, std::size_t alignment, std::uint32_t made) noexcept {
  const std::size_t rounded = run_bytes_for(std::max<std::size_t>(bytes, 1));
  served answer;
  if (!may_take(rounded, answer)) return answer;
  if (rounded > object_size_ - object_end_) return {nullptr, shadow_refusal::os, {"ftruncate", EFBIG}};
  const std::size_t aligned = std::max<std::size_t>(alignment / space_.strip_bytes(), 1);
  answer = map_strips(rounded / space_.page_size(), aligned, object_end_);
  if (answer.block == nullptr) return answer;
  object_end_ += rounded;
  figures_.memory += rounded;
  figures_.held += rounded;
  const std::size_t page = space_.page_of(answer.block);
  space_.strip(mapping_of(page)).live = 1;
  note_block(page, {.state = shadow_state::live,
                    .alignment_log2 = log2_floor(alignment),
                    .offset = 0,
                    .bytes = bytes,
                    .made = made});
  return answer;
}

// All pages of the slab open, and mirrors for all its slots.
shadow_pool::served shadow_pool::make_ready(shadow_slab* slab) noexcept {
  const std::uint32_t closed = slab->pages() - slab->opened_pages();
  served refused;
  if (!may_take(closed * space_.page_size(), refused)) return refused;
  figures_.memory += slab->open_all() * space_.page_size();
  while (slab->fresh_mirrors() < slab->shape().unit_slots) {
    if (const served mirror = make_mirror(slab, 0, slab->pages()); mirror.block == nullptr) return mirror;
  }
  return {};
}

shadow_pool::served shadow_pool::reserve(std::size_t bytes, std::size_t alignment, std::size_t blocks) noexcept {
  const lock guard(lock_);
  if (object_ < 0) return {nullptr, forked_ ? shadow_refusal::forked : shadow_refusal::os, unopened_};
  if (bytes > shadow_note::max_bytes || alignment > space_.zone_bytes())
    return {nullptr, shadow_refusal::too_large, {}};
  const std::size_t c = class_for(bytes, alignment);
  if (c == size_class::count) return {};  // a large block has a mapping of its own
  std::size_t ready = 0;
  for (shadow_slab* slab = classes_[c].with_room; slab != nullptr && ready < blocks; slab = slab->next) {
    if (const served refused = make_ready(slab); refused.why != shadow_refusal::none) return refused;
    ready += slab->free_slots();
  }
  while (ready < blocks) {
    if (const served refused = make_slab(c); refused.why != shadow_refusal::none) return refused;
    shadow_slab* const slab = classes_[c].with_room;
    if (const served refused = make_ready(slab); refused.why != shadow_refusal::none) return refused;
    ready += slab->free_slots();
  }
  return {};
}

// --- deallocating ----------------------------------------------------------------------------------------------------

std::uint32_t shadow_pool::mapping_of(std::size_t page) const noexcept {
  return space_.strip(static_cast<std::uint32_t>(page / shadow_space::strip_pages)).first;
}

std::size_t shadow_pool::last_page_of(std::size_t page, const shadow_note& note) const noexcept {
  return page + (note.offset + std::max<std::size_t>(note.bytes, 1) - 1) / space_.page_size();
}

shadow_pool::taken shadow_pool::look_at(const void* p, std::size_t bytes, std::size_t alignment) const noexcept {
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
    shadow_strip& mapping = space_.strip(mapping_of(page));
    ++mapping.leaving;
    if (mapping.slab == nullptr) {
      leave_large(page);
      return found;
    }
    if (plan_.batch_blocks > 1) {
      batch_[figures_.waiting++] = static_cast<std::uint32_t>(page);
      figures_.waiting_bytes += mapping.slab->shape().slot_bytes;
      if (figures_.waiting == 1) batch_since_ = platform::monotonic_ns();
      if (figures_.waiting == plan_.batch_blocks || figures_.waiting_bytes > plan_.batch_bytes) {
        flush_locked();
      } else {
        flush_if_old();
      }
      return found;
    }
  }
  // Nobody else changes this record or takes the slot before the block has left.
  const barrier how = guard_pages(page, last_page_of(page, found.note));
  const lock guard(lock_);
  leave(page, how);
  return found;
}

shadow_pool::barrier shadow_pool::guard_pages(std::size_t first, std::size_t last) noexcept {
  std::byte* const base = space_.base_of_page(first);
  const std::size_t bytes = (last - first + 1) * space_.page_size();
  guard_calls_.fetch_add(1, std::memory_order_relaxed);
  if (!protects() && !platform::guard(base, bytes).failed()) return barrier::guard;
  // The OS knows no guards, or the pages are locked: then protection, which splits a mapping in three at most.
  if (split_.fetch_add(2, std::memory_order_relaxed) + 2 <= max_mappings_ / 2 &&
      !platform::protect(base, bytes, platform::access::none).failed()) {
    return barrier::protection;
  }
  split_.fetch_sub(2, std::memory_order_relaxed);
  return barrier::none;
}

void shadow_pool::leave(std::size_t page, barrier how) noexcept {
  shadow_page& record = space_.record(page);
  record.set_state(how == barrier::none ? shadow_state::exposed : shadow_state::dead);
  ++(how == barrier::none ? figures_.exposed : figures_.guarded);
  const std::uint32_t id = mapping_of(page);
  shadow_strip& mirror = space_.strip(id);
  if (how == barrier::protection) mirror.split += 2;
  shadow_slab* const slab = mirror.slab;
  const std::size_t start =
      (page - std::size_t{id} * shadow_space::strip_pages) * space_.page_size() + record.read().offset;
  slab->give(slab->place_at(start));
  if (slab->is_roomy()) list(slab);
  figures_.held -= slab->shape().slot_bytes;
  --mirror.live;
  --mirror.leaving;
  if (how != barrier::mapping) retire_if_idle(id);
}

// Its mapping is its own: what guards it frees its addresses at the same time.
void shadow_pool::leave_large(std::size_t page) noexcept {
  const std::uint32_t id = mapping_of(page);
  shadow_strip& mapping = space_.strip(id);
  const std::uint64_t offset = mapping.offset;
  const std::size_t bytes = mapping.pages * space_.page_size();
  mapping.live = 0;
  mapping.leaving = 0;
  space_.record(page).set_state(shadow_state::dead);
  ++figures_.guarded;
  retire(id);
  figures_.held -= bytes;
  if (!platform::give_back_part(object_, offset, bytes).failed()) figures_.memory -= bytes;
}

// Whether nothing is left of a mirror once its blocks in the batch have left: then it goes, and needs no guards.
bool shadow_pool::goes_whole(const shadow_strip& mirror) noexcept {
  return mirror.live == mirror.leaving && may_go(mirror);
}

// Takes mirrors that go whole, and lie in a row, away in one call, and their blocks out of the batch. Returns the index of
// the first block that is left.
std::size_t shadow_pool::flush_whole(std::size_t first, std::size_t count) noexcept {
  const std::uint32_t begin = mapping_of(batch_[first]);
  std::uint32_t end = begin;
  std::size_t behind = first;
  while (behind < count) {
    const std::uint32_t id = mapping_of(batch_[behind]);
    if (id != end || !goes_whole(space_.strip(id))) break;
    behind += space_.strip(id).leaving;
    end += space_.strip(id).count;
  }
  const std::size_t page = std::size_t{begin} * shadow_space::strip_pages;
  const bool gone = !platform::reserve_again(space_.base_of_page(page), (end - begin) * space_.strip_bytes()).failed();
  guard_calls_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = first; i < behind; ++i) {
    const std::uint32_t id = mapping_of(batch_[i]);
    leave(batch_[i], barrier::mapping);
    if (space_.strip(id).live != 0) continue;
    if (gone) {
      put_to_rest(id);
    } else {
      retire(id);
    }
  }
  return behind;
}

void shadow_pool::flush_if_old() noexcept {
  if (figures_.waiting == 0 || ++calls_since_look_ < kBetweenClocks) return;
  calls_since_look_ = 0;
  if (platform::monotonic_ns() - batch_since_ >= plan_.batch_nanoseconds) flush_locked();
}

std::size_t shadow_pool::flush_locked() noexcept {
  const std::size_t count = figures_.waiting;
  std::sort(batch_, batch_ + count);
  for (std::size_t i = 0; i < count;) {
    const std::uint32_t id = mapping_of(batch_[i]);
    if (goes_whole(space_.strip(id))) {
      i = flush_whole(i, count);
      continue;
    }
    // Blocks on pages in a row.
    const std::size_t first = batch_[i];
    std::size_t last = first;
    std::size_t end = i;
    for (; end < count; ++end) {
      const std::size_t page = batch_[end];
      const std::uint32_t mapping = mapping_of(page);
      if (end != i && page != last + 1) break;
      if (mapping != id && (protects() || goes_whole(space_.strip(mapping)))) break;
      last = last_page_of(page, space_.record(page).read());
    }
    barrier how = guard_pages(first, last);
    for (; i < end; ++i) {
      leave(batch_[i], how);
      if (how == barrier::protection) how = barrier::guard;  // the mappings it costs are counted once
    }
  }
  figures_.waiting = 0;
  figures_.waiting_bytes = 0;
  return count;
}

std::size_t shadow_pool::flush() noexcept {
  const lock guard(lock_);
  return flush_locked();
}

std::size_t shadow_pool::trim() noexcept {
  const lock guard(lock_);
  if (object_ < 0) return 0;
  flush_locked();
  std::size_t given = 0;
  for (shadow_slab** link = &all_; *link != nullptr;) {
    shadow_slab* const slab = *link;
    if (slab->live() != 0) {
      link = &slab->elder;
      continue;
    }
    close_mirrors(slab, false);
    const std::size_t bytes = slab->opened_pages() * space_.page_size();
    if (bytes != 0 && platform::give_back_part(object_, slab->offset(), bytes).failed()) {
      link = &slab->elder;
      continue;
    }
    figures_.memory -= bytes;
    given += bytes;
    unlist(slab);
    classes_[slab->size_class].pages -= slab->pages();
    *link = slab->elder;
    shadow_slab::unmake(slab);
  }
  return given;
}

// --- figures and check -----------------------------------------------------------------------------------------------

shadow_figures shadow_pool::figures() const noexcept {
  const lock guard(lock_);
  shadow_figures all = figures_;
  all.mappings = mappings();
  all.calls = guard_calls_.load(std::memory_order_relaxed);
  return all;
}

template <class Visitor>
void shadow_pool::visit_mappings(Visitor&& visitor) const {
  for (std::uint32_t z = zones_; z != no_zone; z = space_.zone(z).next) {
    for (std::uint32_t s = 0; s < shadow_zone::strips; ++s) {
      const std::uint32_t id = z * static_cast<std::uint32_t>(shadow_zone::strips) + s;
      const shadow_strip& strip = space_.strip(id);
      if (strip.mapped && strip.first == id) visitor(id, strip);
    }
  }
}

const char* shadow_pool::check() const noexcept {
  const lock guard(lock_);
  const char* wrong = nullptr;
  std::size_t slots = 0;
  for (const shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) {
    if (const char* const found = slab->check(); found != nullptr) return found;
    if (!slab->listed && slab->is_roomy()) return "a shadow slab has room, and nobody knows";
    slots += slab->live();
  }
  std::size_t mappings = 0;
  std::size_t leaving = 0;
  visit_mappings([&](std::uint32_t id, const shadow_strip& m) {
    ++mappings;
    if (m.slab == nullptr) return;
    std::uint32_t live = 0;
    for (std::size_t p = 0; p < m.pages; ++p) {
      const shadow_note note = space_.record(std::size_t{id} * shadow_space::strip_pages + p).read();
      if (note.state != shadow_state::live && note.state != shadow_state::leaving) continue;
      ++live;
      const std::size_t start = p * space_.page_size() + note.offset;
      if (m.slab->is_free(m.slab->place_at(start))) wrong = "a block's slot is free";
    }
    if (live != m.live) wrong = "a mirror has more or fewer blocks than it counts";
    slots -= live;
    leaving += m.leaving;
  });
  if (wrong != nullptr) return wrong;
  if (slots != 0) return "shadow slabs and their mirrors count different blocks";
  if (mappings != figures_.mappings) return "the mappings of a shadow pool are not as many as it counts";
  if (plan_.batch_blocks > 1 && leaving != figures_.waiting) return "blocks wait for a guard that are in no batch";
  return nullptr;
}

// --- fork ------------------------------------------------------------------------------------------------------------

namespace {

/// Copies parts of one object to another, through two views of both.
class copier {
 public:
  copier(int from, int to) noexcept : from_(from), to_(to), view_(platform::reserve(2 * kPiece, page_bytes())) {}
  ~copier() {
    if (view_.base != nullptr) static_cast<void>(platform::unmap(view_.base, 2 * kPiece));
  }
  copier(const copier&) = delete;
  copier& operator=(const copier&) = delete;

  [[nodiscard]] bool copy(std::uint64_t offset, std::size_t bytes) noexcept {
    if (view_.base == nullptr) return false;
    auto* const source = static_cast<std::byte*>(view_.base);
    std::byte* const target = source + kPiece;
    for (std::size_t done = 0; done < bytes; done += kPiece) {
      const std::size_t now = std::min(kPiece, bytes - done);
      if (platform::map_object_over(from_, offset + done, now, source).failed() ||
          platform::map_object_over(to_, offset + done, now, target).failed() ||
          platform::prefault(target, now).failed()) {
        return false;
      }
      std::memcpy(target, source, now);
    }
    return true;
  }

 private:
  static constexpr std::size_t kPiece = std::size_t{4} << 20;

  int from_;
  int to_;
  platform::mapping view_;
};

}  // namespace

// By the thread that forks, before it does: what other threads write to their blocks meanwhile may or may not be in the
// copy, but nothing that the forking thread could have seen is missing.
void shadow_pool::copy_for_child() noexcept {
  if (object_ < 0 || !plan_.copy_at_fork || zones_ == no_zone) return;
  const std::size_t there = measure_headroom().at_once;
  if (there != 0 && there < figures_.memory) return;
  const platform::shared_object copy = make_object();
  if (copy.descriptor < 0) return;
  if (copy_object(copy.descriptor)) {
    copy_ = copy.descriptor;
  } else {
    platform::close_object(copy.descriptor);
  }
}

bool shadow_pool::copy_object(int to) noexcept {
  copier pieces(object_, to);
  for (const shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) {
    if (!pieces.copy(slab->offset(), slab->opened_pages() * space_.page_size())) return false;
  }
  bool good = true;
  visit_mappings([&](std::uint32_t, const shadow_strip& m) {
    if (m.slab == nullptr && good) good = pieces.copy(m.offset, m.pages * space_.page_size());
  });
  return good;
}

void shadow_pool::drop_copy() noexcept {
  if (copy_ < 0) return;
  platform::close_object(copy_);
  copy_ = -1;
}

void shadow_pool::become_child() noexcept {
  if (object_ < 0) return;
  if (zones_ == no_zone && copy_ < 0) {  // nothing to copy, but what is to come must not be the parent's as well
    const platform::shared_object own = make_object();
    platform::close_object(object_);
    object_ = own.descriptor;
    forked_.store(object_ < 0, std::memory_order_relaxed);
    return;
  }
  const bool copied = copy_ >= 0 && map_copy();
  platform::close_object(object_);
  object_ = copied ? copy_ : -1;
  if (!copied) {
    drop_copy();
    seal_off_all();
    forked_.store(true, std::memory_order_relaxed);
  }
  copy_ = -1;
}

// Maps the copy where the original is. Guards went with that, and are set again.
bool shadow_pool::map_copy() noexcept {
  bool good = true;
  const int copy = copy_;
  visit_mappings([&](std::uint32_t id, const shadow_strip& m) {
    std::byte* const base = space_.base_of_page(std::size_t{id} * shadow_space::strip_pages);
    good = good && !platform::map_object_over(copy, m.offset, m.pages * space_.page_size(), base).failed();
  });
  if (!good) return false;
  split_.store(0, std::memory_order_relaxed);
  visit_mappings([&](std::uint32_t id, const shadow_strip&) { guard_again(id); });
  return true;
}

void shadow_pool::guard_again(std::uint32_t id) noexcept {
  shadow_strip& mapping = space_.strip(id);
  mapping.split = 0;
  const std::size_t begin = std::size_t{id} * shadow_space::strip_pages;
  const std::size_t end = begin + mapping.pages;
  const auto guarded = [](shadow_state state) { return state == shadow_state::dead; };
  for (std::size_t p = begin; p < end;) {
    if (!guarded(space_.record(p).state())) {
      ++p;
      continue;
    }
    const std::size_t first = p;
    std::size_t last = p;
    while (p < end && guarded(space_.record(p).state())) {
      last = last_page_of(p, space_.record(p).read());
      p = last + 1;
    }
    if (guard_pages(first, last) == barrier::protection) mapping.split += 2;
  }
  if (plan_.batch_blocks > 1) return;
  // A thread that is not in the child was about to guard these.
  for (std::size_t p = begin; p < end && mapping.mapped; ++p) {
    if (space_.record(p).state() != shadow_state::leaving) continue;
    leave(p, guard_pages(p, last_page_of(p, space_.record(p).read())));
  }
}

void shadow_pool::seal_off_all() noexcept {
  for (std::uint32_t z = zones_; z != no_zone; z = space_.zone(z).next) {
    static_cast<void>(platform::reserve_again(space_.base_of_zone(z), space_.zone_bytes()));
  }
}

}  // namespace strata::mem
