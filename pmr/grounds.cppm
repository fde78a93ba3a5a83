// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.pmr:grounds;

import :finding;
import :misuse;

import strata.mem;

/// The memory that a keeper has of its upstream, so that a block given back to the wrong keeper is said to be whose it is.
///
/// All grounds of the process are in one table. Keepers nest: what an upper one has lies in a block of a lower, so an
/// address is of the smallest ground around it.
///
/// In checked builds alone, and not while an inspector runs the process (:inspected_blocks knows more then): elsewhere
/// nothing is noted, and no call costs anything. Where the OS has no memory for the table nothing more is noted, and
/// nobody is accused for it.
///
/// Any thread; nothing throws; a lock of its own, and none is taken to say that no other keeper has a ground that begins
/// at an address. O(1), but O(grounds) for whose().
export namespace strata::pmr {

class grounds {
 public:
  /// `name`: of the keeper; outlives this object.
  explicit grounds(const char* name) noexcept : name_(name) {
    if constexpr (mem::checked) prepare();
  }
  ~grounds() {
    if constexpr (mem::checked) leave_all();
  }
  grounds(const grounds&) = delete;
  grounds& operator=(const grounds&) = delete;

  /// In the name of an assembly whose part the keeper is.
  inline void rename(const char* name) noexcept { name_ = name; }

  /// Upstream gave it.
  inline void add(const void* start, std::size_t bytes) noexcept {
    if constexpr (mem::checked) enter(start, bytes);
  }
  /// It goes back upstream: one ground, or several that touch.
  inline void remove(const void* start, std::size_t bytes) noexcept {
    if constexpr (mem::checked) leave(start, bytes);
  }

  /// Whether one of these begins at `p`. True where that is not known.
  [[nodiscard]] bool begins(const void* p) const noexcept;

  /// Whether the innermost ground that begins at `p` is another keeper's: then `p` is not a block that may come back here,
  /// though it be one of ours: the other lives in it.
  [[nodiscard]] inline bool has_tenant(const void* p) const noexcept {
    if constexpr (mem::checked) return may_begin(p) && begins_elsewhere(p);
    return false;
  }

  /// Misuse `elsewhere`, when `p` lies in another keeper's ground; else none.
  [[nodiscard]] finding whose(const void* p) const noexcept;

  /// Reports `what`, or, when its pointer is another's, that and whose.
  void report(const misuse& what) const noexcept;

 private:
  friend class ground_table;

  static void prepare() noexcept;  // the table's lock is made while none is held
  void enter(const void* start, std::size_t bytes) noexcept;
  void leave(const void* start, std::size_t bytes) noexcept;
  void leave_all() noexcept;
  [[nodiscard]] static bool may_begin(const void* p) noexcept;
  [[nodiscard]] bool begins_elsewhere(const void* p) const noexcept;

  const char* name_;
  std::size_t count_ = 0;  ///< of these, under the table's lock
};

}  // namespace strata::pmr
