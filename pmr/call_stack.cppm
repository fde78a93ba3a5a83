// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.pmr:call_stack;

/// Who called: a thread and a stack, captured cheaply, named only when printed.
///
/// Capturing follows frame pointers: code built without them is left out or ends the stack. Any thread; nothing throws
/// or takes memory from the heap.
export namespace strata::pmr {

/// Where a call came from.
struct call_site {
  std::uint32_t thread = 0;              ///< as this_thread_serial(); 0: not known
  std::span<const void* const> stack{};  ///< return addresses, innermost first
};

inline constexpr std::size_t max_stack_depth = 32;  ///< frames

/// Fills `frames`, innermost first, beginning with the return address `caller` (null: none), and returns how many. What
/// lies further in is left out. Pre: no more than max_stack_depth frames.
[[nodiscard]] std::size_t capture_stack(std::span<const void*> frames, const void* caller) noexcept;

/// The calling thread's number: 1 for the first that asks, and never given again.
[[nodiscard]] std::uint32_t this_thread_serial() noexcept;

/// The function to which `return_address` leads back, ended by a zero; false, and an empty name, when it is not known.
/// Pre: room for one byte at least.
[[nodiscard]] bool name_function(const void* return_address, std::span<char> name) noexcept;

}  // namespace strata::pmr
