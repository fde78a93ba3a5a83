// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.platform:alternate_stack;

import :error;

/// A stack of its own for the signal handlers of the calling thread, so that they can run when its ordinary one is used
/// up. Inaccessible below its end: handlers that use up this one as well fault. One object a thread is enough.
///
/// Nothing here throws, or allocates but the stack.
///
/// Threads  made, asked and destroyed by the thread whose stack it is
/// Fork     the child of a thread that has one has it as well
/// Signals  not made or destroyed in signal handlers
export namespace strata::platform {

class alternate_stack {
 public:
  /// Room for a report with its stack trace; only what is used becomes memory.
  static constexpr std::size_t usual_bytes = std::size_t{256} << 10;

  /// Takes at least `bytes` and makes them the thread's; what it had before (a sanitizer's, say) waits until the end.
  /// error() says when that was refused: no memory (ENOMEM), or the thread runs on such a stack right now (EPERM).
  explicit alternate_stack(std::size_t bytes = usual_bytes) noexcept;

  /// Gives the thread what it had before. When the thread has come by another stack since, or runs on this one, that
  /// stays as it is, and the memory with it.
  ~alternate_stack();

  alternate_stack(const alternate_stack&) = delete;
  alternate_stack& operator=(const alternate_stack&) = delete;

  [[nodiscard]] inline os_error error() const noexcept { return error_; }

  /// Returns the bytes handlers may use; 0 when there is no stack.
  [[nodiscard]] std::size_t bytes() const noexcept;

  /// Whether an address is on this stack.
  [[nodiscard]] bool holds(const void* address) const noexcept;

 private:
  os_error error_{};
  void* base_ = nullptr;    // of the mapping: the inaccessible page first
  std::size_t mapped_ = 0;  // bytes, that page included
  void* before_ = nullptr;  // what the thread had
  std::size_t before_bytes_ = 0;
  bool had_none_ = true;
};

}  // namespace strata::platform
