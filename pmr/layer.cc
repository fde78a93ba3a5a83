// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <new>
#include <optional>
#include <span>
#include <string_view>

#include "absl/base/thread_annotations.h"

module strata.pmr:layer.impl;

import :allocation_error;
import :exposition;
import :layer;
import :misuse;
import :report;
import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

// One lock for all loans: they are made and ended seldom, and either end may go first. Never destroyed.
mem::mutex& lock_of_loans() noexcept {
  alignas(mem::mutex) static std::byte place[sizeof(mem::mutex)];
  static mem::mutex* const made = ::new (place) mem::mutex(mem::lock_rank::loans, "of loans between layers");
  return *made;
}

// What lies where a layer was. A name outlives its layer.
class destroyed_layer final : public std::pmr::memory_resource {
 public:
  explicit destroyed_layer(const char* name) noexcept : name_(name) {}

 private:
  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    report_misuse({.layer = name_,
                   .sentence = "used after its destruction: asked for a block",
                   .bytes = bytes,
                   .alignment = alignment});
    throw allocation_error(name_, bytes, alignment, "it was destroyed before");
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    report_misuse({.layer = name_,
                   .sentence = "used after its destruction: given a block back",
                   .pointer = p,
                   .bytes = bytes,
                   .alignment = alignment});
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  const char* const name_;
};

}  // namespace

// To the compiler the object is gone and writing to it is in vain: hence not inline, and the barrier.
[[gnu::noinline]] void layer_remains::leave_mark() noexcept {
  static_assert(sizeof(destroyed_layer) <= sizeof(layer));
  const char* const name = name_;
  ::new (static_cast<void*>(static_cast<std::pmr::memory_resource*>(static_cast<layer*>(this)))) destroyed_layer(name);
  asm volatile("" : : "r"(this) : "memory");
}

fault layer::check() const noexcept {
  for (const loan* each : {&upstream_, &second_upstream_}) {
    if (each->below() == nullptr) continue;
    if (const fault found = each->below()->check(); found.found()) return found;
  }
  return {};
}

std::size_t layer::degraded(std::span<degradation> /*out*/) const noexcept { return 0; }

std::optional<std::size_t> layer::resident() const noexcept { return std::nullopt; }

fork_policy layer::at_fork() const noexcept {
  fork_policy worst = fork_policy::works;
  for (const loan* each : {&upstream_, &second_upstream_}) {
    if (each->below() != nullptr) worst = std::max(worst, each->below()->at_fork());
  }
  return worst;
}

fork_policy layer::at_fork_with_books_in_upstream() const noexcept {
  const fork_policy below = layer::at_fork();
  return below == fork_policy::wiped ? fork_policy::refused : below;
}

void layer::collect(report& into) const noexcept {
  collect_below(into);
  add_to(into, stats());
}

void layer::collect_below(report& into) const noexcept {
  std::size_t first = report::no_row;
  std::size_t second = report::no_row;
  if (upstream_.below() != nullptr) {
    upstream_.below()->collect(into);
    first = into.latest();
  }
  if (second_upstream_.below() != nullptr && into.wanted() == report::reach::all) {
    const report::second_upstream lower(into);
    second_upstream_.below()->collect(into);
    second = into.latest();
  }
  into.stand_on(first, second);
}

void layer::add_to(report& into, const statistics& figures) const noexcept {
  std::array<degradation, report::max_degradations> states{};
  const std::size_t count = std::min(degraded(states), states.size());
  // Asked for in whole reports alone: it takes time, and those of first upstreams are for figures.
  const bool whole = into.wanted() == report::reach::all;
  into.add(name_, figures, std::span(states).first(count), this, whole ? resident() : std::nullopt);
}

void layer::write_report(std::FILE* out) const {
  report collected;
  collect(collected);
  collected.write(out);
}

void layer::write_json(const text_sink& out, std::string_view resource) const {
  report collected;
  collect(collected);
  pmr::write_json({resource.empty() ? name() : resource, &collected}, out);
}

void layer::write_prometheus(const text_sink& out, std::string_view resource) const {
  report collected;
  collect(collected);
  const exposed one{resource.empty() ? name() : resource, &collected};
  pmr::write_prometheus({&one, 1}, out);
}

layer::layer(const char* name, std::pmr::memory_resource* upstream, std::pmr::memory_resource* second,
             live_at_end end) noexcept
    : layer_remains(name), upstream_(*this, upstream), second_upstream_(*this, second), end_(end) {
  if (end != live_at_end::as_upstream) return;
  // Where one of two insists, so does this.
  for (const loan* each : {&upstream_, &second_upstream_}) {
    if (each->below() != nullptr && end_ != live_at_end::misuse) end_ = each->below()->end_;
  }
}

layer::~layer() {
  if (borrowers_.load(std::memory_order_relaxed) == nullptr) return;
  text_line who;
  {
    const mem::lock held(lock_of_loans());
    std::size_t others = 0;
    for (loan* each = borrowers_.load(std::memory_order_relaxed); each != nullptr; each = each->next_) {
      each->below_ = nullptr;  // what is dead is not told of the end of a loan
      if (each->next_ == nullptr) {
        who << "\"" << each->by_.name() << "\"";  // the first to borrow
      } else {
        ++others;
      }
    }
    if (others != 0) who << " and " << others << " more";
    borrowers_.store(nullptr, std::memory_order_relaxed);
  }
  report_misuse({.layer = name_,
                 .sentence = "destroyed while another layer still borrows it: destroy the upper one first",
                 .detail = who.c_str()});
}

void layer::report_live(const char* sentence, const statistics& figures) const noexcept {
  text_line whose;
  for (const loan* each : {&upstream_, &second_upstream_}) {
    if (each->below() == nullptr) continue;
    whose << (whose.text().empty() ? "upstream \"" : "\" and \"") << each->below()->name();
  }
  const bool known = !whose.text().empty();
  if (known) whose << "\"";
  report_misuse({.layer = name_,
                 .sentence = sentence,
                 .bytes = figures.live,
                 .detail = known ? whose.c_str() : nullptr,
                 .count = figures.live_blocks});
}

layer::loan::loan(const layer& by, std::pmr::memory_resource* from) noexcept
    : by_(by), from_(from), below_(dynamic_cast<layer*>(from)) {
  if (below_ == nullptr) return;
  const mem::lock held(lock_of_loans());
  next_ = below_->borrowers_.load(std::memory_order_relaxed);
  if (next_ != nullptr) next_->previous_ = this;
  below_->borrowers_.store(this, std::memory_order_relaxed);
}

layer::loan::~loan() {
  if (below_ == nullptr) return;
  const mem::lock held(lock_of_loans());
  if (below_ == nullptr) return;  // it ends in another thread
  if (next_ != nullptr) next_->previous_ = previous_;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    below_->borrowers_.store(next_, std::memory_order_relaxed);
  }
}

}  // namespace strata::pmr
