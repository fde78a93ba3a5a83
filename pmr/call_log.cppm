// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.pmr:call_log;

import :call_stack;
import :text_sink;

import strata.mem;

/// The calls of a layer as lines that a program can read, version 1.
///
///   strata-log 1 <layer>
///   <layer> <n> begin allocate bytes=64 alignment=16 thread=1
///   <layer> <n> end allocate pointer=0x… bytes=64 alignment=16 thread=1 stack=0x…,0x…
///   <layer> <n> begin deallocate pointer=0x… bytes=64 alignment=16 thread=1
///   <layer> <n> end deallocate pointer=0x… bytes=64 alignment=16 thread=1
///   <layer> <n> begin reallocate pointer=0x… bytes=64 to=128 alignment=16 thread=1
///   <layer> <n> end reallocate pointer=0x… from=0x… bytes=128 alignment=16 thread=1
///   <layer> <n> begin release
///   <layer> <n> end release
///   frame 0x… <function>
///
/// Both lines of a call have its number, and lines of other threads may stand between them. A call that could not be
/// served ends with `failed`, one that was misuse with `misuse`, in the place of `pointer=…`: neither has changed
/// anything. A stack is there when asked for, innermost first. A frame is named before its first line (once, or once
/// more where two threads come to it together), `?` where it is not known. Names are written as words: %XX.
///
/// End lines are in an order in which things happened: a block's end of deallocation stands before the end of the
/// allocation that got its memory. So whoever reads end lines alone knows what is live at any line.
///
/// Any thread; nothing throws; no lock is held while writing. What frames were named lies in memory from the OS.
export namespace strata::pmr {

class call_log {
 public:
  /// `layer` outlives it. Stacks of so many frames; 0: none.
  call_log(const char* layer, text_sink to, std::size_t depth) noexcept : layer_(layer), to_(to), depth_(depth) {}

  [[nodiscard]] inline std::size_t depth() const noexcept { return depth_; }

  /// The line that says that a layer logs from here on.
  void write_head() const noexcept;

  enum class outcome : std::uint8_t { done, failed, misuse };
  struct call {
    std::uint64_t number;
    const char* name;  ///< allocate, deallocate, reallocate or release
    call_site from{};
    std::size_t bytes = 0;
    std::size_t alignment = 0;  ///< 0: there is no block, as with release
    const void* pointer = nullptr;
    const void* old = nullptr;  ///< reallocate: the block to be replaced
    std::size_t to = 0;         ///< reallocate: bytes of the new one
  };
  void begin(const call& what) const noexcept;
  void end(const call& what, outcome how) noexcept;

 private:
  void name_frames(std::span<const void* const> stack) noexcept;

  const char* const layer_;
  const text_sink to_;
  const std::size_t depth_;
  mem::mutex lock_{"of a call log"};
  mem::address_counts named_ ABSL_GUARDED_BY(lock_);
};

}  // namespace strata::pmr
