// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <span>

module strata.pmr:locked_adaptor.impl;

import :allocation_error;
import :locked_adaptor;
import :refusals;
import :report;

import strata.mem;

namespace strata::pmr {

namespace {

mem::lock_ledger& books() noexcept { return mem::lock_ledger::of_process(); }

[[noreturn]] void throw_not_locked(const char* layer, std::size_t bytes, std::size_t alignment, mem::os_error cause) {
  const mem::lock_status now = mem::locks();
  char reason[160];
  if (now.limit == mem::lock_status::unlimited) {
    std::snprintf(reason, sizeof reason, "it cannot be locked; there is no limit, %llu bytes are locked",
                  static_cast<unsigned long long>(now.locked));
  } else {
    std::snprintf(reason, sizeof reason, "it cannot be locked; %llu of %llu bytes are, in this process: %s",
                  static_cast<unsigned long long>(now.locked), static_cast<unsigned long long>(now.limit),
                  mem::lock_remedy());
  }
  throw allocation_error(layer, bytes, alignment, reason, cause);
}

}  // namespace

locker::locker(const locked& options) noexcept
    : options_(options),
      whole_pages_(!options.dumped || options.children != children_find::a_copy),
      generation_(books().generation()),
      first_generation_(books().generation()) {}

locker::request locker::request_for(std::size_t bytes, std::size_t alignment) const noexcept {
  if (!whole_pages_) return {bytes, alignment};
  const std::size_t whole = mem::run_bytes_for(bytes);
  return {whole != 0 ? whole : bytes, std::max(alignment, mem::page_bytes())};  // upstream refuses what cannot be
}

// Hidden before it is locked: pages that come into being are hidden from the start.
void locker::take(void* p, const request& whole, std::size_t bytes, std::size_t alignment) {
  notice_fork();
  if (const mem::os_error refused = hide(p, whole.bytes); refused.failed()) {
    show(p, whole.bytes);
    if (options_.strict) {
      throw allocation_error(options_.name, bytes, alignment, "it cannot be kept from dumps or children, as asked",
                             refused);
    }
    hidings_.note(refused);
  }
  const auto when = options_.on_touch ? mem::lock_time::on_touch : mem::lock_time::now;
  if (const mem::os_error refused = books().lock(p, whole.bytes, when); refused.failed()) {
    if (options_.strict) {
      show(p, whole.bytes);
      throw_not_locked(options_.name, bytes, alignment, refused);
    }
    locks_.note(refused);
  } else {
    locked_.fetch_add(whole.bytes, std::memory_order_relaxed);
  }
  live_.fetch_add(whole.bytes, std::memory_order_relaxed);
}

void locker::give(void* p, const request& whole) noexcept {
  notice_fork();
  live_.fetch_sub(whole.bytes, std::memory_order_relaxed);
  if (options_.wipe) mem::wipe(p, whole.bytes);
  show(p, whole.bytes);
  if (books().unlock(p, whole.bytes)) locked_.fetch_sub(whole.bytes, std::memory_order_relaxed);
}

// What was locked before this child came to be is not.
void locker::notice_fork() const noexcept {
  const unsigned now = books().generation();
  if (generation_.load(std::memory_order_relaxed) == now) return;
  generation_.store(now, std::memory_order_relaxed);
  locked_.store(0, std::memory_order_relaxed);
}

mem::os_error locker::hide(void* p, std::size_t bytes) noexcept {
  if (!options_.dumped) {
    if (const mem::os_error refused = mem::expose(p, bytes, mem::exposure::not_dumped); refused.failed()) {
      return refused;
    }
  }
  switch (options_.children) {
    case children_find::a_copy:
      break;
    case children_find::zeros:
      return mem::expose(p, bytes, mem::exposure::zero_in_child);
    case children_find::nothing:
      return mem::expose(p, bytes, mem::exposure::not_in_child);
  }
  return {};
}

// Should the OS refuse, whoever has the pages next is hidden for no reason, but nothing is lost.
void locker::show(void* p, std::size_t bytes) noexcept {
  if (!options_.dumped) static_cast<void>(mem::expose(p, bytes, mem::exposure::dumped));
  if (options_.children != children_find::a_copy) static_cast<void>(mem::expose(p, bytes, mem::exposure::inherited));
}

std::size_t locker::unlocked() const noexcept {
  notice_fork();
  return live_.load(std::memory_order_relaxed) - locked_.load(std::memory_order_relaxed);
}

std::size_t locker::degraded(std::span<degradation> out) const noexcept {
  return tell({locks_.because("blocks were handed out unlocked; let the process lock more, or ask for less"),
               hidings_.because("blocks were handed out that dumps or children see; take a kernel that can hide them"),
               {"in this child of fork() nothing is locked that was before it; allocate anew here",
                {},
                books().generation() - first_generation_}},
              out);
}

}  // namespace strata::pmr
