// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <string_view>

module strata.platform:cgroup;

import :os_file;

/// Where the calling process stands in the control groups of Linux.
///
/// Private to this floor: an internal partition, imported by implementation units only.
///
/// There are two kinds of hierarchy, and a machine may have both at once (hybrid): version 2, one for all controllers,
/// and version 1, one for each controller or a few. What limits a process is the smallest limit among its group and
/// that group's ancestors, in every hierarchy there is. A container may see only a part of them, under another path
/// than the one it is told, so:
///
///     /proc/self/cgroup      which group:  4:memory:/jobs/17     (0::/jobs/17 in version 2)
///     /proc/self/mountinfo   what is seen: … /jobs /sys/fs/cgroup/memory … - cgroup cgroup rw,memory
///                                             |           +- mount point
///                                             +- the group that is mounted there
///     ==> /sys/fs/cgroup/memory/17, then its ancestors up to the mount point
///
/// A group that lies outside what is mounted, or that is not known, is taken to be the mount point. A level whose files
/// are missing (the path may name groups that are not visible here) sets no limit.
namespace strata::platform {

class group {
 public:
  /// Finds the group in the version 1 hierarchy of `controller`, or in version 2 when that is empty.
  /// `root` is put before every path read: a test's tree.
  group(const char* root, std::string_view controller) noexcept;

  /// Whether such a hierarchy is mounted at all. Without one the other members find nothing.
  [[nodiscard]] inline bool found() const noexcept { return found_; }

  /// The directory of the group, or of the ancestor reached by up().
  [[nodiscard]] inline std::string_view directory() const noexcept { return directory_.view(); }

  /// Goes to the parent. Returns false at the mount point.
  bool up() noexcept;

  /// Path of one of the group's files.
  [[nodiscard]] path file(std::string_view name) const noexcept;

 private:
  void consider(const char* root, std::string_view controller, std::string_view own, std::string_view line) noexcept;

  bool found_ = false;
  bool inside_ = false;           // the own group lies inside what the best mount so far shows
  std::size_t shown_ = 0;         // length of the path of the group that mount shows: the shorter, the more ancestors
  std::size_t mount_length_ = 0;  // of directory_
  path directory_{""};
};

}  // namespace strata::platform
