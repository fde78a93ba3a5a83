// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <new>
#include <span>

module strata.pmr:guard_adaptor.impl;

import :allocation_error;
import :guard_adaptor;
import :layer;
import :misuse;
import :option_check;
import :refusals;
import :report;

import strata.mem;

namespace strata::pmr {

namespace {

guards checked(const guards& options) {
  const option_check check("guards", options.name);
  check.require(options.before || options.after,
                "no side is guarded; ask for a guard before or after, or leave it out");
  check.require(options.one_in != 0, "one_in", 0, "one in 1 is every block");
  return options;
}

}  // namespace

template <mem::threads Threads>
guard_keeper<Threads>::guard_keeper(const guards& options, std::pmr::memory_resource* upstream)
    : options_(checked(options)),
      upstream_(upstream),
      sampler_(options.one_in),
      blocks_({.sides = {.before = options.before, .after = options.after, .tight = options.tight},
               .hold_bytes = options.hold_bytes,
               .mapping_budget = options.max_mappings}) {}

template <mem::threads Threads>
guard_keeper<Threads>::~guard_keeper() {
  if (options_.live_at_end_is_misuse && blocks_.figures().blocks != 0) {
    report_misuse({.layer = options_.name,
                   .sentence = "destroyed with live guarded blocks: nobody gives them back to their upstream any more",
                   .bytes = blocks_.figures().bytes,
                   .count = blocks_.figures().blocks});
  }
  trim();
}

// Not as asked: upstream serves it, or it is an exception.
template <mem::threads Threads>
void* guard_keeper<Threads>::pass(refusals& why, mem::os_error cause, std::size_t bytes, std::size_t alignment,
                                  const char* reason) {
  if (options_.strict) throw allocation_error(options_.name, bytes, alignment, reason, cause);
  why.note(cause);
  return nullptr;
}

// Null when upstream has no room for whole pages, but may have for less.
template <mem::threads Threads>
void* guard_keeper<Threads>::obtain(mem::book_entry* entry, const mem::guard_shape& size) {
  try {
    return upstream_->allocate(size.whole, size.alignment);
  } catch (const std::bad_alloc&) {
    blocks_.withdraw(entry);
    if (options_.strict) throw;
    return nullptr;
  } catch (...) {
    blocks_.withdraw(entry);
    throw;
  }
}

template <mem::threads Threads>
void* guard_keeper<Threads>::allocate(std::size_t bytes, std::size_t alignment) {
  mem::guard_shape size;
  if (!blocks_.shape_of(bytes, alignment, size)) return nullptr;  // no more has upstream
  if (!blocks_.has_room()) {
    return pass(by_budget_, {}, bytes, alignment, "its guards would cost more mappings than the budget allows");
  }
  const mem::block_book::promise_result promised = blocks_.promise();
  if (promised.entry == nullptr) {
    return pass(without_book_, promised.error, bytes, alignment, "there is no memory to remember its guards in");
  }
  void* const start = obtain(promised.entry, size);
  if (start == nullptr) {
    by_upstream_.note({});
    return nullptr;
  }
  const auto in = blocks_.admit(promised.entry, {start, size, bytes, alignment}, options_.strict);
  if (in.block == nullptr) {
    if (!in.stranded) upstream_->deallocate(start, size.whole, size.alignment);
    return pass(by_os_, in.error, bytes, alignment,
                in.over_budget ? "its guards would cost more mappings than the budget allows"
                               : "it cannot be guarded: locked memory cannot, nor where mappings have run out");
  }
  if (!in.guarded) (in.over_budget ? by_budget_ : by_os_).note(in.error);
  return in.block;
}

template <mem::threads Threads>
void guard_keeper<Threads>::give_back(const typename blocks::departure& gone) noexcept {
  upstream_->deallocate(gone.start, gone.whole, gone.alignment);
}

template <mem::threads Threads>
typename guard_keeper<Threads>::answer guard_keeper<Threads>::deallocate(void* p, std::size_t bytes,
                                                                         std::size_t alignment) noexcept {
  const auto taken = blocks_.take(p, bytes, alignment);
  if (taken.fault == mem::guarded_fault::absent) return answer::unknown;
  if (taken.fault != mem::guarded_fault::none) {
    char detail[80];
    std::snprintf(detail, sizeof detail, "allocated with %zu bytes, alignment %zu", taken.bytes, taken.alignment);
    report_misuse({.layer = options_.name,
                   .sentence = mem::describe(taken.fault),
                   .pointer = p,
                   .bytes = bytes,
                   .alignment = alignment,
                   .detail = detail,
                   .where = taken.where});
    return answer::refused;
  }
  mem::os_error refused;
  if (const auto gone = blocks_.put_away(taken.entry, refused); gone.start != nullptr) give_back(gone);
  if (refused.failed()) stranded_.note(refused);
  for (auto gone = blocks_.next_released(false); gone.start != nullptr; gone = blocks_.next_released(false)) {
    give_back(gone);
  }
  return answer::done;
}

template <mem::threads Threads>
void guard_keeper<Threads>::report_foreign(void* p, std::size_t bytes, std::size_t alignment) const noexcept {
  report_misuse({.layer = options_.name,
                 .sentence = mem::describe(mem::guarded_fault::absent),
                 .pointer = p,
                 .bytes = bytes,
                 .alignment = alignment});
}

template <mem::threads Threads>
std::size_t guard_keeper<Threads>::trim() noexcept {
  std::size_t bytes = 0;
  for (auto gone = blocks_.next_released(true); gone.start != nullptr; gone = blocks_.next_released(true)) {
    bytes += gone.whole;
    give_back(gone);
  }
  return bytes;
}

template <mem::threads Threads>
std::size_t guard_keeper<Threads>::unguarded() const noexcept {
  return by_budget_.because(nullptr).times + by_os_.because(nullptr).times + by_upstream_.because(nullptr).times +
         without_book_.because(nullptr).times;
}

template <mem::threads Threads>
fault guard_keeper<Threads>::check() const noexcept {
  const auto found = blocks_.check();
  return {found.sentence, found.where};
}

template <mem::threads Threads>
std::size_t guard_keeper<Threads>::degraded(std::span<degradation> out) const noexcept {
  const mem::os_error unknown = blocks_.unknown_to_fork();
  return tell(
      {by_os_.because("blocks were handed out without all their guards; do not lock the memory, or raise "
                      "vm.max_map_count"),
       by_budget_.because(
           "blocks were handed out without all their guards, which would have cost more mappings than the "
           "budget; raise max_mappings, or guard fewer (one_in)"),
       by_upstream_.because(
           "blocks were handed out without guards, since upstream has no room for whole pages; give it "
           "more"),
       without_book_.because("blocks were handed out without guards, since there is no memory to remember them in"),
       stranded_.because("deallocated blocks could not be made accessible again; they are kept, and tried again"),
       {mem::has_address_sanitizer
            ? "no page guards with AddressSanitizer, which looks for leaks in them: each costs mappings, so the budget "
              "allows few"
            : "the kernel has no page guards (Linux before 6.13): each costs mappings, so the budget allows few",
        {},
        blocks_.guards().costs_mappings() ? 1U : 0U},
       {"the lock of guarded blocks is not known to fork(): a child forked while another thread allocates may hang; do "
        "not fork",
        unknown, unknown.failed() ? 1U : 0U}},
      out);
}

template class guard_keeper<mem::threads::any>;
template class guard_keeper<mem::threads::one>;

}  // namespace strata::pmr
