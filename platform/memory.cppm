// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <optional>

export module strata.platform:memory;

/// How much memory there is, for the machine and for this process.
///
/// Threads  any; the figures of one call are read one after the other and are no snapshot
/// Signals  not for signal handlers; takes about 48 KiB of stack
/// Errors   none: a figure the OS does not tell, or tells in a form not understood, is replaced as its field says
export namespace strata::platform {

/// The cache a file system keeps outside the OS's own page cache (ZFS: ARC). It shrinks under pressure, though not at
/// once, and to the OS it looks like memory in use: `memory_status::available` does not count it.
struct foreign_cache {
  std::uint64_t size = 0;     ///< bytes now
  std::uint64_t minimum = 0;  ///< bytes it will not go below
  std::uint64_t maximum = 0;  ///< bytes it will not go above
};

/// All figures in bytes. 0: not known, by any way.
struct memory_status {
  /// Memory in the machine, in whole memory blocks, with what firmware and kernel keep for themselves. Else as managed.
  std::uint64_t installed = 0;
  /// Memory the OS manages, in use or not. Never more than installed.
  std::uint64_t managed = 0;
  /// The most this process, with all others under the same limits, may have: the smallest limit in every group
  /// hierarchy it belongs to, ancestors included; as managed when none is set. Reaching it is no error from any call:
  /// the process is killed.
  std::uint64_t limit = 0;
  /// What sets the limit: the file of the OS that says it, cut off if it is long; empty when it is the machine.
  char limit_source[192] = {};
  /// Above this the OS slows the process down and takes pages from it. As limit when not set.
  std::uint64_t soft_limit = 0;
  /// What can still be had without pushing anyone into swap, or this process against its limit. Counts page cache that
  /// can be dropped. Never more than limit.
  std::uint64_t available = 0;
  /// Memory locked in RAM by all processes.
  std::uint64_t locked = 0;
  /// Absent where there is no such cache.
  std::optional<foreign_cache> cache;
};

/// Reads the figures as they are now; some dozens of system calls. `root` is put before every path read: a test's tree.
[[nodiscard]] memory_status memory(const char* root = "") noexcept;

}  // namespace strata::platform
