// SPDX-License-Identifier: Apache-2.0
export module strata.platform:barrier;

import :error;

/// A memory barrier in every thread of the process, paid for by the thread that asks for it alone.
///
/// So one side of an agreement between threads can be the hot one and have no barrier at all: it keeps its loads and
/// stores in order for the compiler (std::atomic_signal_fence), and the other side, which is rare, calls this between
/// its own stores and loads.
///
/// Threads  any
/// Signals  no
/// Fork     a child may have to ask for leave again, which is part of the call
export namespace strata::platform {

/// When it has succeeded, each thread of the process has been at some place of its program, after the call began and
/// before it returned, where all it had stored was visible to every thread, and from where it loads nothing older than what
/// was visible when the call began. Takes microseconds; the first call of a process with several threads, milliseconds.
///
/// Refused: the kernel lacks it or a filter of system calls forbids it (ENOSYS, EINVAL, EPERM), no memory in the kernel
/// (ENOMEM); on a system of another kind ENOTSUP. Then nothing may be concluded.
[[nodiscard]] os_error process_barrier() noexcept;

}  // namespace strata::platform
