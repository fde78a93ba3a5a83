// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string_view>

export module strata.pmr:debug_calls;

import :call_log;
import :call_stack;
import :debug_options;
import :finding;
import :layer;
import :misuse;
import :report;
import :watched_blocks;

import strata.mem;

/// The calls of a debug_adaptor: in which order things are checked, logged, asked of upstream and reported. It is the
/// same for every upstream, and stands here once.
///
/// Any thread, as far as upstream lets; no lock is held while upstream, a sink or a handler is called.
namespace strata::pmr {

class debug_calls {
 public:
  /// `self` is the adaptor itself, as a layer.
  debug_calls(const debug& options, const layer* self, std::pmr::memory_resource* upstream);
  debug_calls(const debug_calls&) = delete;
  debug_calls& operator=(const debug_calls&) = delete;

  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment, const void* caller);
  void deallocate(void* p, std::size_t bytes, std::size_t alignment, const void* caller);
  [[nodiscard]] void* reallocate(void* p, std::size_t old_bytes, std::size_t bytes, std::size_t alignment,
                                 const void* caller);
  [[nodiscard]] std::size_t usable_size(const void* p);
  std::size_t trim();
  void release(void (*release_upstream)(void*), void* upstream, const void* caller);
  /// What the adaptor's destructor does.
  void end() noexcept;

  [[nodiscard]] fault check() const noexcept;
  [[nodiscard]] fault check(const void* p) const noexcept;
  [[nodiscard]] const watched_blocks& blocks() const noexcept { return blocks_; }
  [[nodiscard]] debug_flags flags() const noexcept { return flags_.load(std::memory_order_relaxed); }
  void set_flags(debug_flags flags) noexcept;
  [[nodiscard]] std::size_t misuses() const noexcept { return misuses_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_damaged() const noexcept { return damaged_.load(std::memory_order_relaxed); }
  void forgive() noexcept;

 private:
  // One call: number, flags at its beginning, and who called.
  struct call {
    call(debug_calls& of, const char* name, const void* caller) noexcept;
    call(const call&) = delete;
    call& operator=(const call&) = delete;

    [[nodiscard]] call_site site(std::size_t depth) const noexcept;

    const debug_flags flags;
    std::array<const void*, max_stack_depth> frames;
    std::size_t depth;
    call_log::call line;
  };

  void begin(const call& c) noexcept;
  void end(const call& c, call_log::outcome how) noexcept;
  [[nodiscard]] finding enter(const call& c) noexcept;
  [[nodiscard]] finding verify(debug_flags flags) const noexcept;
  void leave(const call& c);

  [[nodiscard]] void* obtain(const call& c, std::size_t bytes, finding& wrong);
  [[nodiscard]] finding put_away(mem::book_entry* taken, const call& c) noexcept;
  [[nodiscard]] finding give_back_held(std::size_t more_than, std::size_t& given) noexcept;
  [[noreturn]] void refuse(std::size_t bytes, std::size_t alignment) const;

  [[nodiscard]] misuse misuse_of(const finding& wrong) const noexcept;
  void tell(const finding& wrong, const call& c);
  void tell(const finding& wrong, misuse what, bool at_end = false);
  void tell_tolerated(const finding& aside) const noexcept;
  void print_all(const call& c, std::string_view when) const noexcept;
  void note(std::string_view what, std::size_t number) const noexcept;

  const debug options_;
  const layer* const self_;
  std::pmr::memory_resource* const upstream_;
  std::atomic<debug_flags> flags_;
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::size_t> misuses_{0};
  std::atomic<bool> damaged_{false};
  watched_blocks blocks_;
  call_log log_;
};

}  // namespace strata::pmr
