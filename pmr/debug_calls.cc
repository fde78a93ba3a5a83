// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <span>
#include <string_view>

module strata.pmr:debug_calls.impl;

import :allocation_error;
import :call_log;
import :call_stack;
import :debug_calls;
import :debug_options;
import :finding;
import :layer;
import :misuse;
import :report;
import :text_sink;
import :watched_blocks;

import strata.mem;

namespace strata::pmr {

namespace {

using outcome = call_log::outcome;

// As long as it lives, the calling thread reports a misuse of `who`: the handler may use that memory, but what is wrong
// meanwhile is only counted.
class reporting {
 public:
  explicit reporting(const void* who) noexcept;
  ~reporting();
  reporting(const reporting&) = delete;
  reporting& operator=(const reporting&) = delete;
  [[nodiscard]] static bool is_under_way(const void* who) noexcept;

 private:
  const void* const who_;
  const reporting* const outer_;
};

constinit thread_local const reporting* innermost = nullptr;

reporting::reporting(const void* who) noexcept : who_(who), outer_(innermost) { innermost = this; }
reporting::~reporting() { innermost = outer_; }
bool reporting::is_under_way(const void* who) noexcept {
  for (const reporting* r = innermost; r != nullptr; r = r->outer_) {
    if (r->who_ == who) return true;
  }
  return false;
}

}  // namespace

debug_calls::debug_calls(const debug& options, const layer* self, std::pmr::memory_resource* upstream)
    : options_((check_debug(options), options)),
      self_(self),
      upstream_(upstream),
      flags_(options.flags),
      blocks_(options),
      log_(options.name, options.log, options.log_depth) {
  if (has(options.flags, debug_flags::logging)) log_.write_head();
}

debug_calls::call::call(debug_calls& of, const char* name, const void* caller) noexcept
    : flags(of.flags()), line{.number = of.calls_.fetch_add(1, std::memory_order_relaxed) + 1, .name = name} {
  const std::size_t logged = has(flags, debug_flags::logging) ? of.log_.depth() : 0;
  depth = capture_stack(std::span(frames).first(std::max(logged, of.options_.stack_depth)), caller);
  line.from = site(logged);
}

call_site debug_calls::call::site(std::size_t most) const noexcept {
  return {this_thread_serial(), std::span(frames).first(std::min(most, depth))};
}

void* debug_calls::allocate(std::size_t bytes, std::size_t alignment, const void* caller) {
  call c(*this, "allocate", caller);
  c.line.bytes = bytes;
  c.line.alignment = alignment;
  begin(c);
  finding wrong = enter(c);
  void* p = nullptr;
  try {
    if (!wrong) p = obtain(c, bytes, wrong);
  } catch (...) {
    blocks_.note_failure();
    end(c, outcome::failed);
    throw;
  }
  if (wrong) {
    blocks_.note_failure();
    end(c, outcome::misuse);
    tell(wrong, c);
    refuse(bytes, alignment);
  }
  c.line.pointer = p;
  end(c, outcome::done);
  leave(c);
  return p;
}

void debug_calls::deallocate(void* p, std::size_t bytes, std::size_t alignment, const void* caller) {
  call c(*this, "deallocate", caller);
  c.line.bytes = bytes;
  c.line.alignment = alignment;
  c.line.pointer = p;
  begin(c);
  finding wrong = enter(c);
  mem::book_entry* taken = nullptr;
  finding aside;
  if (!wrong) {
    wrong = blocks_.take({p, bytes, alignment, has(c.flags, debug_flags::tolerance)}, c.site(options_.stack_depth),
                         taken, aside);
  }
  if (aside) tell_tolerated(aside);
  end(c, wrong ? outcome::misuse : outcome::done);
  if (!wrong) wrong = put_away(taken, c);
  if (wrong) return tell(wrong, c);
  leave(c);
}

void* debug_calls::reallocate(void* p, std::size_t old_bytes, std::size_t bytes, std::size_t alignment,
                              const void* caller) {
  if (p == nullptr) return allocate(bytes, alignment, caller);
  call c(*this, "reallocate", caller);
  c.line.bytes = old_bytes;
  c.line.alignment = alignment;
  c.line.old = p;
  c.line.to = bytes;
  begin(c);
  finding wrong = enter(c);
  mem::book_entry* taken = nullptr;
  finding aside;
  if (!wrong) {
    wrong = blocks_.take({p, old_bytes, alignment, has(c.flags, debug_flags::tolerance)}, c.site(options_.stack_depth),
                         taken, aside);
  }
  if (aside) tell_tolerated(aside);
  void* fresh = nullptr;
  if (!wrong) {
    try {
      fresh = obtain(c, bytes, wrong);
    } catch (...) {
      blocks_.put_back(taken);
      blocks_.note_failure();
      end(c, outcome::failed);
      throw;
    }
    if (wrong) blocks_.put_back(taken);
  }
  if (wrong) {
    blocks_.note_failure();
    end(c, outcome::misuse);
    tell(wrong, c);
    refuse(bytes, alignment);
  }
  std::memcpy(fresh, p, std::min(old_bytes, bytes));
  c.line.pointer = fresh;
  end(c, outcome::done);
  wrong = put_away(taken, c);
  if (wrong) {
    tell(wrong, c);
  } else {
    leave(c);
  }
  return fresh;
}

std::size_t debug_calls::usable_size(const void* p) {
  call c(*this, "usable_size", nullptr);
  c.line.pointer = p;
  finding wrong = enter(c);
  finding aside;
  if (!wrong) wrong = blocks_.look({.pointer = p, .tolerance = has(c.flags, debug_flags::tolerance)}, aside);
  if (aside) tell_tolerated(aside);
  if (wrong) {
    tell(wrong, c);
    return 0;
  }
  const std::size_t bytes = blocks_.bytes_at(p);
  leave(c);
  return bytes;
}

std::size_t debug_calls::trim() {
  const call c(*this, "trim", nullptr);
  std::size_t given = 0;
  finding wrong = enter(c);
  if (!wrong) wrong = give_back_held(0, given);
  if (wrong) {
    tell(wrong, c);
  } else {
    leave(c);
  }
  return given;
}

void debug_calls::release(void (*release_upstream)(void*), void* upstream, const void* caller) {
  const call c(*this, "release", caller);
  begin(c);
  finding wrong = enter(c);
  if (!wrong && !has(c.flags, debug_flags::paranoia)) wrong = verify(c.flags);  // the last chance to look
  if (!wrong) blocks_.forget_all();
  end(c, wrong ? outcome::misuse : outcome::done);
  if (wrong) return tell(wrong, c);
  release_upstream(upstream);
  leave(c);
}

// At the end `raise` reports, and a handler must not throw.
// NOLINTNEXTLINE(bugprone-exception-escape)
void debug_calls::end() noexcept {
  std::size_t given = 0;
  if (!is_damaged()) {
    const finding wrong = give_back_held(0, given);
    if (wrong) tell(wrong, misuse_of(wrong), true);
  }
  std::array<block_copy, 8> first;
  const std::size_t live = blocks_.live_blocks(first);
  if (live == 0 || !options_.live_at_end_is_misuse) return;
  std::array<block_trace, first.size()> traces;
  const std::size_t shown = std::min(live, first.size());
  std::ranges::transform(std::span(first).first(shown), traces.begin(), &block_copy::trace);
  finding leak;
  leak.kind = misuse_kind::leak;
  misuse what = misuse_of(leak);
  what.count = live;
  what.bytes = blocks_.figures().live;
  what.blocks = std::span(traces).first(shown);
  tell(leak, what, true);
}

fault debug_calls::check() const noexcept {
  finding aside;
  const finding wrong = blocks_.look_at_all(has(flags(), debug_flags::tolerance), aside);
  if (aside) tell_tolerated(aside);
  if (wrong) return {describe(wrong.kind), wrong.knows_block ? wrong.block.pointer : wrong.where};
  if (is_damaged()) return {describe(misuse_kind::damaged), nullptr};
  return {};
}

fault debug_calls::check(const void* p) const noexcept {
  finding aside;
  const finding wrong = blocks_.look({.pointer = p, .tolerance = has(flags(), debug_flags::tolerance)}, aside);
  if (aside) tell_tolerated(aside);
  if (wrong) return {describe(wrong.kind), p};
  return {};
}

void debug_calls::set_flags(debug_flags flags) noexcept {
  const debug_flags before = flags_.exchange(flags, std::memory_order_relaxed);
  if (has(flags, debug_flags::logging) && !has(before, debug_flags::logging)) log_.write_head();
  if (has(before | flags, debug_flags::debugging)) note("flags are now ", static_cast<std::size_t>(flags));
}

void debug_calls::forgive() noexcept {
  blocks_.dress_all();
  damaged_.store(false, std::memory_order_relaxed);
}

void debug_calls::begin(const call& c) noexcept {
  if (has(c.flags, debug_flags::logging)) log_.begin(c.line);
}

void debug_calls::end(const call& c, outcome how) noexcept {
  if (has(c.flags, debug_flags::logging)) log_.end(c.line, how);
}

finding debug_calls::enter(const call& c) noexcept {
  if (is_damaged()) {
    finding wrong;
    wrong.kind = misuse_kind::damaged;
    return wrong;
  }
  if (has(c.flags, debug_flags::verbosity)) print_all(c, "before");
  if (has(c.flags, debug_flags::paranoia)) return verify(c.flags);
  return {};
}

void debug_calls::leave(const call& c) {
  if (has(c.flags, debug_flags::verbosity)) print_all(c, "after");
  if (!has(c.flags, debug_flags::paranoia)) return;
  if (const finding wrong = verify(c.flags)) tell(wrong, c);
}

finding debug_calls::verify(debug_flags flags) const noexcept {
  finding aside;
  finding wrong = blocks_.look_at_all(has(flags, debug_flags::tolerance), aside);
  if (aside) tell_tolerated(aside);
  if (wrong) return wrong;
  if (const fault found = self_->layer::check(); found.found()) {
    wrong.kind = misuse_kind::below;
    wrong.detail = found.sentence;
    wrong.where = found.where;
  }
  return wrong;
}

// The block; or null, and what is wrong. Throws what upstream throws, or allocation_error; then nothing has changed.
void* debug_calls::obtain(const call& c, std::size_t bytes, finding& wrong) {
  const std::size_t alignment = c.line.alignment;
  watched_blocks::shape size;
  if (!blocks_.shape_of(bytes, alignment, size)) {
    throw allocation_error(options_.name, bytes, alignment, "no machine has so much memory");
  }
  const auto [entry, refused] = blocks_.promise();
  if (entry == nullptr) {
    throw allocation_error(options_.name, bytes, alignment,
                           refused.failed() ? "there is no memory to know the block by"
                                            : "as many blocks as max_blocks are live or held back",
                           refused);
  }
  void* start = nullptr;
  try {
    start = upstream_->allocate(size.whole, alignment);
  } catch (...) {
    blocks_.withdraw(entry);
    throw;
  }
  wrong = blocks_.admit(entry, {.start = start,
                                .size = size,
                                .bytes = bytes,
                                .alignment = alignment,
                                .number = c.line.number,
                                .from = c.site(options_.stack_depth),
                                .fill = has(c.flags, debug_flags::antagonism)});
  return wrong ? nullptr : static_cast<std::byte*>(start) + size.front;
}

finding debug_calls::put_away(mem::book_entry* taken, const call& c) noexcept {
  const bool chatty = has(c.flags, debug_flags::debugging);
  if (has(c.flags, debug_flags::noreuse) && taken->whole <= options_.hold_bytes) {
    if (chatty) note("holds back a block, bytes: ", taken->whole);
    blocks_.hold(taken);
    std::size_t given = 0;
    finding wrong = give_back_held(options_.hold_bytes, given);
    if (chatty && given != 0) note("gives back what was held longest, bytes: ", given);
    return wrong;
  }
  const auto [start, whole, alignment] =
      blocks_.dismiss(taken, has(c.flags, debug_flags::antagonism | debug_flags::noreuse));
  upstream_->deallocate(start, whole, alignment);
  return {};
}

finding debug_calls::give_back_held(std::size_t more_than, std::size_t& given) noexcept {
  for (;;) {
    watched_blocks::departure out;
    finding wrong = blocks_.release_held(more_than, out);
    if (wrong || out.start == nullptr) return wrong;
    given += out.whole;
    upstream_->deallocate(out.start, out.whole, out.alignment);
  }
}

void debug_calls::refuse(std::size_t bytes, std::size_t alignment) const {
  throw allocation_error(options_.name, bytes, alignment, "misuse was found, and reported");
}

misuse debug_calls::misuse_of(const finding& wrong) const noexcept {
  return {.layer = options_.name,
          .sentence = describe(wrong.kind),
          .thread = this_thread_serial(),
          .detail = wrong.kind == misuse_kind::elsewhere ? wrong.other.data() : wrong.detail,
          .where = wrong.where};
}

// Damage is told of the block that was damaged, anything else of what the caller passed.
void debug_calls::tell(const finding& wrong, const call& c) {
  misuse what = misuse_of(wrong);
  const block_trace block = wrong.block.trace();
  if (wrong.knows_block) what.blocks = {&block, 1};
  if (is_damage(wrong.kind)) {
    what.pointer = block.pointer;
    what.bytes = block.bytes;
    what.alignment = block.alignment;
  } else {
    what.pointer = c.line.old != nullptr ? c.line.old : c.line.pointer;
    what.bytes = c.line.bytes;
    what.alignment = c.line.alignment;
  }
  tell(wrong, what);
}

void debug_calls::tell(const finding& wrong, misuse what, bool at_end) {
  misuses_.fetch_add(1, std::memory_order_relaxed);
  if (is_damage(wrong.kind)) damaged_.store(true, std::memory_order_relaxed);
  if (reporting::is_under_way(this)) return;
  const reporting under_way(this);
  switch (options_.when_misused) {
    case on_misuse::raise:
      if (!at_end) throw misuse_error(what);
      return report_misuse(what);
    case on_misuse::report:
      return report_misuse(what);
    case on_misuse::call:
      return options_.handler(options_.argument, what);
    case on_misuse::count:
      return;
  }
}

void debug_calls::tell_tolerated(const finding& aside) const noexcept {
  misuse what = misuse_of(aside);
  const block_trace block = aside.block.trace();
  what.pointer = block.pointer;
  what.bytes = block.bytes;
  what.alignment = block.alignment;
  what.detail = "tolerated";
  what.blocks = {&block, 1};
  print_misuse(what, options_.print);
}

void debug_calls::print_all(const call& c, std::string_view when) const noexcept {
  const auto start_of = [&] {
    text_line line;
    line << options_.name << " " << when << " " << c.line.name << ", call " << std::size_t{c.line.number} << ": ";
    return line;
  };
  report layers;
  self_->collect(layers);
  for (const report::row& r : layers.rows()) {
    text_line line = start_of();
    line << r.name << " has " << r.figures.live << " bytes live in " << r.figures.live_blocks << " blocks, "
         << r.figures.kept << " kept, " << r.figures.overhead << " overhead, " << r.figures.upstream
         << " from upstream";
    line.write_to(options_.print);
  }
  block_copy block;
  for (std::size_t i = 0; i < blocks_.extent(); ++i) {
    if (!blocks_.copy(i, block)) continue;
    text_line line = start_of();
    line << "block " << block.pointer << ", " << block.bytes << " bytes aligned to " << block.alignment << ", of call "
         << std::size_t{block.number} << (block.state == mem::book_state::live ? ", live" : ", held back");
    line.write_to(options_.print);
  }
}

void debug_calls::note(std::string_view what, std::size_t number) const noexcept {
  text_line line;
  line << "strata: " << options_.name << ": " << what << number;
  line.write_to(options_.print);
}

}  // namespace strata::pmr
