// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/solaris/books.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fakes/solaris/host.h"
#include "tests/fakes/solaris/machine.h"

namespace strata::fake_solaris {
namespace {

constexpr std::size_t kMost = std::size_t{1} << 16;
// Addresses that the machine underneath gives to nobody by itself, and that every sanitizer counts as the program's.
constexpr std::uintptr_t kLowest = std::uintptr_t{0x7A80} << 32;
constexpr std::uintptr_t kHighest = std::uintptr_t{0x7E00} << 32;
constexpr std::size_t kGap = std::size_t{1} << 20;  // between two mappings (P-S-22)

constinit region regions[kMost + 4] = {};
constinit std::size_t count = 0;
constinit std::uintptr_t cursor = kLowest;

constinit std::atomic_flag taken;

struct failure {
  const char* name;
  unsigned left;
  int code;
};
constinit failure failures[8] = {};
constinit settings current{};

void take() {
  while (taken.test_and_set(std::memory_order_acquire)) ::sched_yield();
}
void leave() { taken.clear(std::memory_order_release); }

[[maybe_unused]] const bool kHooked = (host::around_fork(&take, &leave, &leave), true);

region* first_ending_after(std::uintptr_t address) {
  return std::partition_point(regions, regions + count, [address](const region& r) { return r.end <= address; });
}

void split(std::uintptr_t address) {
  region* const at = first_ending_after(address);
  if (at == regions + count || at->begin >= address) return;
  std::copy_backward(at, regions + count, regions + count + 1);
  ++count;
  at[0].end = address;
  at[1].begin = address;
}

bool alike(const region& a, const region& b) {
  return a.end == b.begin && a.segment == 0 && b.segment == 0 && a.kind == b.kind && a.readable == b.readable &&
         a.writable == b.writable && a.no_reserve == b.no_reserve && a.reserved == b.reserved && a.locked == b.locked &&
         a.advised == b.advised;
}

template <typename Which>
std::uint64_t sum(Which which) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i != count; ++i) bytes += which(regions[i]) ? regions[i].bytes() : 0;
  return bytes;
}

std::uint64_t swap_used() {
  return sum([](const region& r) { return r.reserved; });
}
std::uint64_t lock_used() {
  return sum([](const region& r) { return r.locked; });
}

}  // namespace

books_lock::books_lock() { take(); }
books_lock::~books_lock() { leave(); }

slice cut_out(std::uintptr_t begin, std::uintptr_t end) {
  split(begin);
  split(end);
  region* const first = first_ending_after(begin);
  region* last = first;
  while (last != regions + count && last->begin < end) ++last;
  return {first, last};
}

bool covered(std::uintptr_t begin, std::uintptr_t end) {
  for (const region* at = first_ending_after(begin); at != regions + count && at->begin <= begin; ++at) {
    begin = at->end;
    if (begin >= end) return true;
  }
  return false;
}

bool is_free(std::uintptr_t begin, std::uintptr_t end) {
  const region* const next = first_ending_after(begin);
  return next == regions + count || next->begin >= end;
}

bool has_room() {
  if (count + 3 < kMost) return true;
  errno = ENOMEM;
  return false;
}

void forget(std::uintptr_t begin, std::uintptr_t end) {
  const slice gone = cut_out(begin, end);
  std::copy(gone.last, regions + count, gone.first);
  count -= static_cast<std::size_t>(gone.last - gone.first);
}

void add(const region& fresh) {
  region* const at = first_ending_after(fresh.begin);
  std::copy_backward(at, regions + count, regions + count + 1);
  *at = fresh;
  ++count;
}

void settle() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i != count; ++i) {
    if (kept != 0 && alike(regions[kept - 1], regions[i])) {
      regions[kept - 1].end = regions[i].end;
    } else {
      regions[kept++] = regions[i];
    }
  }
  count = kept;
}

const region* region_at(std::uintptr_t address) {
  const region* const at = first_ending_after(address);
  return at != regions + count && at->begin <= address ? at : nullptr;
}

slice all() { return {regions, regions + count}; }

std::uintptr_t place(std::size_t bytes, std::size_t alignment, std::size_t attempt) {
  if (bytes > kHighest - kLowest) return 0;
  if (attempt != 0) cursor += std::max(alignment, std::size_t{1} << 32);  // someone else lives there
  for (int round = 0; round != 2; ++round) {
    std::uintptr_t at = (cursor + alignment - 1) & ~(alignment - 1);
    while (at <= kHighest - bytes) {
      const region* const next = first_ending_after(at);
      if (next == regions + count || next->begin >= at + bytes) {
        cursor = at + bytes + kGap;
        return at;
      }
      at = (next->end + kGap + alignment - 1) & ~(alignment - 1);
    }
    cursor = kLowest;
  }
  return 0;
}

std::uint64_t swap_left() {
  const std::uint64_t used = swap_used();
  return current.swap > used ? current.swap - used : 0;
}

std::uint64_t lock_left() {
  const std::uint64_t used = lock_used();
  return current.max_locked > used ? current.max_locked - used : 0;
}

bool fails(const char* name) {
  for (failure& f : failures) {
    if (f.name == nullptr || std::strcmp(f.name, name) != 0 || --f.left != 0) continue;
    f.name = nullptr;
    errno = f.code;
    return true;
  }
  return false;
}

settings& machine() { return current; }

std::uint64_t reserved_swap() {
  const books_lock lock;
  return swap_used();
}

std::uint64_t locked_bytes() {
  const books_lock lock;
  return lock_used();
}

std::uint64_t mapped_regions() {
  const books_lock lock;
  return count;
}

fresh_machine::fresh_machine() {
  const books_lock lock;
  current = settings{};
  std::fill(std::begin(failures), std::end(failures), failure{});
}

fresh_machine::~fresh_machine() {
  const books_lock lock;
  current = settings{};
  std::fill(std::begin(failures), std::end(failures), failure{});
}

void fresh_machine::fail(const char* name, unsigned nth, int code) const {
  const books_lock lock;
  for (failure& f : failures) {
    if (f.name != nullptr) continue;
    f = {name, nth, code};
    return;
  }
  std::fprintf(stderr, "fake_solaris: more than 8 failures are waiting\n");
  std::abort();
}

}  // namespace strata::fake_solaris
