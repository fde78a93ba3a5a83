// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.platform:cpu;

/// How many processors this process may use: for the number of caches, arenas and threads worth having.
///
/// Threads  any
/// Signals  not for signal handlers; takes about 40 KiB of stack
/// Errors   none: see the fields
export namespace strata::platform {

struct cpu_status {
  /// Processors the calling thread may run on (a thread it starts inherits them). At least 1; 1 when the OS does not
  /// tell.
  std::size_t usable = 1;
  /// Processor time the limits on this process grant, in thousandths of one processor: 1500 is one and a half. The
  /// smallest limit among its group and the group's ancestors; usable * 1000 when that is less or no limit is set. At
  /// least 1.
  std::size_t quota_permille = 1000;
};

/// Reads the figures as they are now. `root` is put before every path read: a test's tree.
[[nodiscard]] cpu_status cpus(const char* root = "") noexcept;

}  // namespace strata::platform
