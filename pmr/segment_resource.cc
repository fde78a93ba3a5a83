// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

module strata.pmr:segment_resource.impl;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :option_check;
import :refusals;
import :report;
import :segment_resource;

import strata.mem;

namespace strata::pmr {

namespace {

constexpr std::size_t kNameBytes = 256;

/// A name with its number: "/x", "/x.1", …
std::size_t write_name(const char* object, int number, std::span<char> out) noexcept {
  const int length = number == 0 ? std::snprintf(out.data(), out.size(), "%s", object)
                                 : std::snprintf(out.data(), out.size(), "%s.%d", object, number);
  return length < 0 ? 0 : static_cast<std::size_t>(length);
}

segments checked(const segments& options) {
  if (options.kind == segment_kind::named && !mem::is_segment_name(options.object)) {
    option_check("segments", options.name)
        .refuse(std::string("object is \"") + options.object +
                "\"; it has to be / and then 1 to 240 printable characters without another /");
  }
  return options;
}

}  // namespace

// A word of the table: generation, then whether it is locked, then the number plus 1, so that it is never 0.
std::size_t segment_resource::pack(const record& r) noexcept {
  return static_cast<std::size_t>(r.generation) << 32U | static_cast<std::size_t>(r.locked) << 31U |
         static_cast<std::size_t>(r.number + 1);
}

segment_resource::record segment_resource::unpack(std::size_t word) noexcept {
  return {.generation = static_cast<std::uint32_t>(word >> 32U),
          .locked = (word >> 31U & 1U) != 0,
          .number = static_cast<int>(word & 0x7FFF'FFFFU) - 1};
}

segment_resource::segment_resource(segments options)
    : direct_layer(options.name, nullptr), options_(checked(options)), locks_(mem::lock_ledger::of_process()) {}

segment_resource::~segment_resource() {
  trim();
  if (ledger_.blocks() == 0) return;
  {
    // Blocks stay mapped for whoever still uses them; what would outlive the process does not stay.
    const mem::lock held(mutex_);
    blocks_.visit([this](std::uintptr_t, std::size_t word) { forget_outside(unpack(word)); });
  }
  report_live("destroyed with live blocks: their segments stay mapped and nobody owns them", ledger_.figures());
}

statistics segment_resource::stats() const noexcept {
  statistics figures = ledger_.figures();
  const std::size_t mapped = mapped_.load(std::memory_order_relaxed);
  figures.kept = stranded_.load(std::memory_order_relaxed);
  figures.upstream = mapped + figures.kept;
  figures.overhead = mapped - figures.live;
  return figures;
}

std::size_t segment_resource::degraded(std::span<degradation> out) const noexcept {
  return tell(
      {without_large_pages_.because("ism came without large pages and is locked in RAM instead; have the OS keep "
                                    "large pages ready"),
       names_.because("the OS refused to remove names of objects; remove them by hand"),
       returns_.because("the OS refused to take segments back; trim() tries again")},
      out);
}

int segment_resource::descriptor(const void* block) const noexcept {
  if (options_.kind != segment_kind::sealed) return -1;
  const mem::lock held(mutex_);
  const std::size_t word = blocks_.count(mem::address(block));
  return word == 0 ? -1 : unpack(word).number;
}

std::size_t segment_resource::object_name(const void* block, std::span<char> out) const noexcept {
  if (options_.kind != segment_kind::named) return 0;
  std::size_t word = 0;
  {
    const mem::lock held(mutex_);
    word = blocks_.count(mem::address(block));
  }
  return word == 0 ? 0 : write_name(options_.object, unpack(word).number, out);
}

std::size_t segment_resource::trim() noexcept {
  if (stranded_.load(std::memory_order_relaxed) == 0) return 0;
  const mem::lock held(mutex_);
  std::size_t freed = 0;
  for (bool some = true; some;) {
    some = false;
    std::uintptr_t tried[16] = {};
    std::size_t count = 0;
    refused_.visit([&](std::uintptr_t block, std::size_t) {
      if (count < std::size(tried)) tried[count++] = block;
    });
    for (const std::uintptr_t block : std::span(tried).first(count)) {
      const std::size_t bytes = refused_.count(block);
      if (mem::give_segment(options_.kind, reinterpret_cast<void*>(block), bytes, false).failed()) continue;
      refused_.take(block);
      freed += bytes;
      some = true;
    }
  }
  stranded_.fetch_sub(freed, std::memory_order_relaxed);
  return freed;
}

void* segment_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  const bool named = options_.kind == segment_kind::named;
  const int number = named ? take_number() : 0;
  char object[kNameBytes] = {};
  if (named && number >= 0) write_name(options_.object, number, object);
  mem::segment made{.refusal = mem::segment_refusal::os, .error = {"names", EMFILE}};
  if (number >= 0) {
    made = mem::make_segment({.kind = options_.kind,
                              .bytes = bytes,
                              .alignment = alignment,
                              .name = named ? object : options_.name,
                              .reserve = options_.reserve,
                              .in_children = options_.in_children});
  }
  if (made.payload != nullptr) {
    if (const mem::os_error refused = enter(made, number); refused.failed()) {
      forget_outside({.generation = locks_.generation(), .locked = false, .number = named ? number : made.descriptor});
      static_cast<void>(mem::give_segment(options_.kind, made.payload, made.bytes, made.locked));
      made = {.refusal = mem::segment_refusal::os, .error = refused};
    }
  }
  if (made.payload == nullptr) {
    if (named && number >= 0) leave_number(number);
    ledger_.failed();
    fail(made, object, bytes, alignment);
  }
  if (made.locked) without_large_pages_.note(made.error);
  mapped_.fetch_add(made.bytes, std::memory_order_relaxed);
  ledger_.handed_out(bytes);
  mem::add_root(made.payload, made.bytes);
  return made.payload;
}

void segment_resource::do_deallocate(void* p, std::size_t bytes, std::size_t alignment) {
  const std::size_t size = whole(bytes);
  std::size_t word = 0;
  {
    const mem::lock held(mutex_);
    word = blocks_.take(mem::address(p));
  }
  if (word == 0) {
    report_misuse({.layer = name(),
                   .sentence = "the pointer is no live block of this resource",
                   .pointer = p,
                   .bytes = bytes,
                   .alignment = alignment});
    return;
  }
  const record known = unpack(word);
  ledger_.taken_back(bytes);
  mapped_.fetch_sub(size, std::memory_order_relaxed);
  mem::remove_root(p, size);
  forget_outside(known);
  // What a child does not have it cannot give back: something else may be mapped there by now.
  const bool absent = !options_.in_children && known.generation != locks_.generation();
  const mem::os_error refused = absent ? mem::os_error{} : mem::give_segment(options_.kind, p, size, known.locked);
  if (refused.failed()) {
    returns_.note(refused);
    const mem::lock held(mutex_);
    refused_.put(mem::address(p), size);
    stranded_.fetch_add(size, std::memory_order_relaxed);
  }
  if (options_.kind == segment_kind::named) leave_number(known.number);
}

std::size_t segment_resource::whole(std::size_t bytes) const noexcept {
  return mem::segment_bytes_for({.kind = options_.kind, .bytes = bytes});
}

/// The lowest number nobody has; −1 when all are in use.
int segment_resource::take_number() noexcept {
  const mem::lock held(mutex_);
  for (std::size_t i = 0; i != std::size(numbers_); ++i) {
    const int bit = std::countr_one(numbers_[i]);
    if (bit == 64) continue;
    numbers_[i] |= std::uint64_t{1} << bit;
    return static_cast<int>(i * 64) + bit;
  }
  return -1;
}

void segment_resource::leave_number(int number) noexcept {
  const mem::lock held(mutex_);
  numbers_[number / 64] &= ~(std::uint64_t{1} << (number % 64));
}

mem::os_error segment_resource::enter(const mem::segment& made, int number) noexcept {
  const mem::lock held(mutex_);
  if (const mem::os_error refused = blocks_.prepare(1); refused.failed()) return refused;
  // Deallocating must find room to note a refusal, whatever else is alive by then.
  if (const mem::os_error refused = refused_.prepare(blocks_.size() + 1); refused.failed()) return refused;
  blocks_.put(mem::address(made.payload),
              pack({.generation = locks_.generation(),
                    .locked = made.locked,
                    .number = options_.kind == segment_kind::sealed ? made.descriptor : number}));
  return {};
}

/// Takes away what a block has beside its memory: name or descriptor. A child has descriptors of its own, but the name
/// is its parent's.
void segment_resource::forget_outside(const record& known) noexcept {
  if (options_.kind == segment_kind::sealed) mem::close_segment(known.number);
  if (options_.kind != segment_kind::named || known.generation != locks_.generation()) return;
  char object[kNameBytes] = {};
  write_name(options_.object, known.number, object);
  // Somebody may have removed it by hand.
  const mem::os_error refused = mem::remove_segment(object);
  if (refused.failed() && refused.code != ENOENT) names_.note(refused);
}

void segment_resource::fail(const mem::segment& refused, const char* object, std::size_t bytes, std::size_t alignment) {
  char reason[160] = {};
  const auto free = static_cast<unsigned long long>(refused.free);
  const bool named = options_.kind == segment_kind::named;
  switch (refused.refusal) {
    case mem::segment_refusal::too_large:
      std::snprintf(reason, sizeof reason, "no address space holds that");
      break;
    case mem::segment_refusal::machine:
      std::snprintf(reason, sizeof reason, "%llu bytes are free for this process; free some, or raise its limit", free);
      break;
    case mem::segment_refusal::file_system:
      std::snprintf(reason, sizeof reason,
                    "%llu bytes are free where shared memory lives; free some, or make it larger", free);
      break;
    default:
      if (named && refused.error.code == EMFILE && object[0] == '\0') {
        std::snprintf(reason, sizeof reason, "256 named blocks are alive; no more can be");
      } else if (named && refused.error.code == EEXIST) {
        std::snprintf(reason, sizeof reason, "there is an object %.80s already; remove it, or take another name",
                      object);
      } else if (named && refused.error.code == EACCES) {
        std::snprintf(reason, sizeof reason, "an object %.80s is not allowed to this process", object);
      } else if (named) {
        std::snprintf(reason, sizeof reason, "the OS gives no object %.80s", object);
      } else {
        std::snprintf(reason, sizeof reason, "the OS gives no segment");
      }
  }
  throw allocation_error(name(), bytes, alignment, reason, refused.error);
}

}  // namespace strata::pmr
