// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

/// The heap of a whole process, to be shut for good.
///
/// Links its own malloc family into the program; it forwards to the C library's, or to the sanitizer's, until
/// shut_heap(). Not together with :heap_hooks, which then sees nothing.
namespace strata::test {

/// From now on every request of any thread for a block of the heap is counted and refused: null, or std::bad_alloc. An
/// operator new of a sanitizer's runtime is counted, but not refused. Blocks can still be freed. There is no way back:
/// for a child process.
void shut_heap() noexcept;

/// Requests since then, all threads'.
///
/// An exception is one: the C++ runtime asks malloc for its memory, and takes it from its emergency pool when refused.
[[nodiscard]] std::size_t heap_requests_refused() noexcept;

}  // namespace strata::test
