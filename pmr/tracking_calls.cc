// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory_resource>
#include <span>
#include <stdexcept>
#include <string_view>

module strata.pmr:tracking_calls.impl;

import :allocation_error;
import :call_stack;
import :misuse;
import :profile_source;
import :refusals;
import :report;
import :text_sink;
import :tracking_calls;
import :tracking_options;

import strata.mem;

namespace strata::pmr {

namespace {

using mem::tracked_fault;

tracking checked(const tracking& options) {
  check_tracking(options);
  return options;
}

std::size_t rounded(std::uint64_t in_1024ths) noexcept {
  return static_cast<std::size_t>((in_1024ths + mem::sample_weight::unit / 2) / mem::sample_weight::unit);
}

text_line& operator<<(text_line& line, const profiled_place& what) noexcept {
  return line << what.live_blocks << (what.live_blocks == 1 ? " block, " : " blocks, ") << what.live
              << (what.live == 1 ? " byte" : " bytes");
}

// What of memory_resource's own calls, and of this layer's, lies between the caller and the note.
bool is_way_in(std::string_view function) noexcept { return function.find("do_allocate") != function.npos; }

// Places in order: the largest first. In memory from the OS; without any they stay as they came.
class ranking {
 public:
  struct one {
    std::size_t live;
    std::size_t number;
  };

  explicit ranking(std::size_t places) noexcept
      : run_(mem::map_run(places * sizeof(one), mem::page_bytes(), {.label = "strata: leaks"}).run) {}
  ~ranking() {
    if (run_.base != nullptr) static_cast<void>(mem::unmap_run(run_));
  }
  ranking(const ranking&) = delete;
  ranking& operator=(const ranking&) = delete;

  void add(std::size_t live, std::size_t number) noexcept {
    if (run_.base != nullptr) data()[size_] = {live, number};
    ++size_;
  }
  void sort() noexcept {
    if (run_.base == nullptr) return;
    std::sort(data(), data() + size_,
              [](const one& a, const one& b) { return a.live != b.live ? a.live > b.live : a.number < b.number; });
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t number(std::size_t rank) const noexcept {
    return run_.base != nullptr ? data()[rank].number : rank;
  }

 private:
  [[nodiscard]] one* data() const noexcept { return static_cast<one*>(run_.base); }

  const mem::page_run run_;
  std::size_t size_ = 0;
};

}  // namespace

template <mem::threads Threads>
tracking_calls<Threads>::tracking_calls(const tracking& options, std::pmr::memory_resource* upstream)
    : options_(checked(options)),
      upstream_(upstream),
      meter_(std::max<std::size_t>(options.sample_bytes, 2), options.seed != 0 ? options.seed : mem::address(this)),
      blocks_({.mean = options.sample_bytes, .stack_bytes = options.stack_bytes}) {}

template <mem::threads Threads>
void tracking_calls<Threads>::report(const typename blocks::answer& found, const void* p, std::size_t bytes,
                                     std::size_t alignment, const char* detail) const noexcept {
  const block_trace known{.pointer = p,
                          .bytes = found.bytes,
                          .alignment = found.alignment,
                          .allocated = {found.thread, blocks_.stack(found.stack)}};
  const bool any = found.fault != tracked_fault::absent;
  report_misuse({.layer = options_.name,
                 .sentence = mem::describe(found.fault),
                 .pointer = p,
                 .bytes = bytes,
                 .alignment = alignment,
                 .thread = this_thread_serial(),
                 .detail = detail,
                 .blocks = {&known, any ? std::size_t{1} : std::size_t{0}}});
}

template <mem::threads Threads>
void* tracking_calls<Threads>::note(void* p, std::size_t bytes, std::size_t alignment, const void* caller) {
  if (!exact() && !meter_.choose(bytes)) return p;
  std::array<const void*, max_stack_depth> frames;
  const std::size_t depth = capture_stack(std::span(frames).first(options_.stack_depth), caller);
  const auto found = blocks_.admit(p, bytes, alignment, this_thread_serial(), std::span(frames).first(depth));
  if (found.fault == tracked_fault::none) {
    if (!exact()) blocks_.note(meter_.count().live());
    return p;
  }
  if (!exact() && found.fault == tracked_fault::no_memory) {
    unrecorded_.note(found.error);
    return p;
  }
  if (!exact()) meter_.undo(bytes);
  failures_.add(1);
  if (found.fault == tracked_fault::handed_out_twice) {
    report(found, p, bytes, alignment, nullptr);  // and stays: it is somebody else's
  } else {
    upstream_->deallocate(p, bytes, alignment);
  }
  throw allocation_error(options_.name, bytes, alignment, mem::describe(found.fault), found.error);
}

template <mem::threads Threads>
bool tracking_calls<Threads>::take(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  const auto found = blocks_.take(p, bytes, alignment);
  const bool unknown = found.fault == tracked_fault::absent && !exact();
  if (found.fault == tracked_fault::none || unknown) {
    if (!exact()) meter_.take_back(bytes);
    return true;
  }
  char detail[80] = "";
  if (found.fault != tracked_fault::absent) {
    std::snprintf(detail, sizeof detail, "allocated with %zu bytes, alignment %zu", found.bytes, found.alignment);
  }
  report(found, p, bytes, alignment, detail[0] == '\0' ? nullptr : detail);
  return false;
}

template <mem::threads Threads>
void tracking_calls<Threads>::release() noexcept {
  meter_.release();
  blocks_.forget_all();
}

template <mem::threads Threads>
void tracking_calls<Threads>::push() {
  const mem::metered now = meter_.count();
  if (!blocks_.push(exact() ? nullptr : &now)) {
    throw std::length_error(
        "strata::pmr::tracking_adaptor: too many scopes inside one another; each push() has a pop()");
  }
}

template <mem::threads Threads>
tracking_scope tracking_calls<Threads>::pop() noexcept {
  const mem::metered now = meter_.count();
  tracking_scope ended;
  if (!blocks_.pop(exact() ? nullptr : &now, ended)) {
    report_misuse(
        {.layer = options_.name, .sentence = "a scope is ended that was not begun", .thread = this_thread_serial()});
  }
  return ended;
}

template <mem::threads Threads>
profiled_place tracking_calls<Threads>::place(std::size_t number) const noexcept {
  const mem::tracked_place at = blocks_.place(number);
  return {.stack = blocks_.stack(at.stack),
          .allocations = rounded(at.all.blocks),
          .allocated = rounded(at.all.bytes),
          .live_blocks = rounded(at.live.blocks),
          .live = rounded(at.live.bytes)};
}

template <mem::threads Threads>
statistics tracking_calls<Threads>::figures() const noexcept {
  const mem::metered now = count();
  blocks_.note(now.live());
  return {.live = now.live(),
          .upstream = now.live(),
          .peak = blocks_.peak(),
          .live_blocks = now.blocks(),
          .allocations = now.allocations,
          .failures = failures_.get()};
}

template <mem::threads Threads>
std::size_t tracking_calls<Threads>::degraded(std::span<degradation> out) const noexcept {
  const mem::os_error unknown = blocks_.unknown_to_fork();
  return tell(
      {unrecorded_.because("samples were left out, since there is no memory to keep them in; estimates are low"),
       {"there is no room for more call stacks; what comes from new ones is counted as from nowhere: raise "
        "stack_bytes, or lower stack_depth",
        {},
        blocks_.stacks_refused()},
       {"the lock of tracked blocks is not known to fork(): a child forked while another thread allocates may "
        "hang; do not fork",
        unknown, unknown.failed() ? 1U : 0U}},
      out);
}

template <mem::threads Threads>
void tracking_calls<Threads>::write_place(const text_sink& to, const profiled_place& place) const noexcept {
  text_line head;
  head << (exact() ? "  " : "  about ") << place;
  head.write_to(to);
  if (place.stack.empty()) {
    text_line line;
    (line << "      from nowhere: no call stack was kept").write_to(to);
  }
  std::size_t number = 0;
  for (const void* const frame : place.stack) {
    std::array<char, 512> name;
    const char* const function = name_function(frame, name) ? name.data() : "?";
    if (number == 0 && is_way_in(function)) continue;
    text_line line;
    line << "      #" << number++ << " " << frame << " " << function;
    line.write_to(to);
  }
}

template <mem::threads Threads>
void tracking_calls<Threads>::write_live(const text_sink& to, std::size_t most) const noexcept {
  const std::size_t extent = places();
  ranking order(extent);
  for (std::size_t i = 0; i < extent; ++i) order.add(place(i).live_blocks != 0 ? place(i).live + 1 : 0, i);
  order.sort();

  const mem::metered now = count();
  text_line head;
  head << "strata: " << options_.name << ": " << profiled_place{.live_blocks = now.blocks(), .live = now.live()}
       << (now.blocks() == 1 ? " is live" : " are live");
  if (!exact()) head << "; by call stack, from " << blocks_.size() << " samples, one in " << period() << " bytes";
  head.write_to(to);

  profiled_place others;
  std::size_t left_out = 0;
  std::size_t written = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const profiled_place each = place(order.number(i));
    if (each.live_blocks == 0) continue;
    if (written++ < most) {
      write_place(to, each);
      continue;
    }
    ++left_out;
    others.live_blocks += each.live_blocks;
    others.live += each.live;
  }
  if (left_out == 0) return;
  text_line rest;
  rest << "  and " << left_out << (left_out == 1 ? " more call stack: " : " more call stacks: ") << others;
  rest.write_to(to);
}

template <mem::threads Threads>
void tracking_calls<Threads>::end() noexcept {
  if (options_.leaks_at_end && count().blocks() != 0) write_live(options_.leaks, options_.leak_stacks);
}

template class tracking_calls<mem::threads::any>;
template class tracking_calls<mem::threads::one>;

}  // namespace strata::pmr
