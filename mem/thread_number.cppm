// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"

export module strata.mem:thread_number;

/// A small number for each thread, so that what is kept for a thread is found in an array of its owner's.
///
/// A number is given again after its thread's end. Whoever has it next finds, in every array, what the one before left
/// there, and sees all that it wrote. So a thread that ends has nothing to give back, and an owner that ends leaves
/// nothing in threads.
///
/// Thread exit    the number is free once the thread's C++ thread_local objects are gone; what runs later may take one
///                anew
/// Fork           the child has the forking thread's number. Those of threads it does not have are never given again:
///                what they index may have been in the middle of a change
/// Threads        any. Nothing throws or allocates
export namespace strata::mem {

/// Threads that have one at a time. Numbers are 1 … this.
inline constexpr std::uint32_t max_thread_number = 256;

/// The calling thread's number; 0 when it has none.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local std::uint32_t number_of_this_thread = 0;

/// Gives the calling thread a number unless it has one, and returns it: 0 when all are out, or the thread's end could
/// not be watched.
std::uint32_t take_thread_number() noexcept;

/// Calls `work`, and meanwhile no number is taken or given back, and no fork begins. It may ask of a number whether it is nobody's: no thread
/// has it, but one had it; what such a number indexes is the work's. The work must not wait for a lock, and calls nothing here.
void hold_thread_numbers(absl::FunctionRef<void(absl::FunctionRef<bool(std::uint32_t)> is_nobodys)> work);

}  // namespace strata::mem
