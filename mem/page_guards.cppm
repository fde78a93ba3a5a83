// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>

export module strata.mem:page_guards;

import :page_run;

import strata.platform;

/// Pages made inaccessible, by the cheapest means there is, within a budget of mappings.
///
///   marks        the kernel's guards, which cost no mapping and are always there to be had
///   protection   where the kernel has none for this memory: each piece may cut a mapping in three. The process has only so
///                many, and one that has them all cannot even malloc: so they are claimed beforehand, of a budget that all
///                page_guards of the process draw on
///
/// Locked memory cannot be guarded by marks, and is not by protection either: whoever locks pages wants them there.
/// Protection of a shared segment that is locked by its nature (ISM) changes nothing on Solaris, and nobody says so.
///
/// Where it was the guarding mechanism that made the memory, it is protected all the same: what locks it is a lock on the
/// whole process.
///
/// Any thread, for ranges of its own; nothing throws or locks. A child of fork() has the same pages guarded.
export namespace strata::mem {

/// Whose pages they are.
enum class guard_ground : bool {
  lent,  ///< private memory that comes from elsewhere, or a segment: a lock on it is meant, and LeakSanitizer may read it
  own,  ///< shared memory without a name, made to be guarded: none of that
};

class page_guards {
 public:
  /// Mappings that one protected range may cost, in the middle of a mapping: itself, and what is behind it.
  static constexpr std::size_t mappings_each = 2;

  /// Looks what the kernel can do. At most so many mappings are in use for guards, in the whole process; 0: a quarter of
  /// what it may have.
  explicit page_guards(std::size_t mapping_budget, guard_ground ground = guard_ground::lent) noexcept;

  /// What one range was guarded by; how to lift it again.
  enum class means : unsigned char {
    none,
    marks,
    protection,
  };

  struct outcome {
    means by = means::none;  ///< none: refused, and the range is as it was, or guarded in part where `error` says so
    os_error error{};        ///< of the OS; nothing when the budget is used up
  };

  /// Makes the range inaccessible. Private memory loses its contents. Pre: whole pages.
  [[nodiscard]] outcome set(void* base, std::size_t bytes) noexcept;

  /// Makes a range accessible that holds so many guarded ones, and other pages. Refused: what was guarded may be so
  /// still.
  [[nodiscard]] os_error lift(void* base, std::size_t bytes, bool marks, std::size_t protected_ranges) noexcept;

  /// Something else was mapped over so many protected ranges.
  static void forget(std::size_t protected_ranges) noexcept;

  /// Whether every guard costs mappings: the kernel has no marks for such memory, or AddressSanitizer could not stand them.
  [[nodiscard]] inline bool costs_mappings() const noexcept { return support_ == platform::guard_support::none; }

  /// Whether set() of so many ranges would find mappings left.
  [[nodiscard]] bool has_room_for(std::size_t ranges) const noexcept;

  /// Mappings, at most in use for guards of this process.
  [[nodiscard]] inline std::size_t mapping_budget() const noexcept { return budget_; }

  /// Mappings claimed for guards in this process.
  [[nodiscard]] static std::size_t mappings_claimed() noexcept;

 private:
  [[nodiscard]] bool claim() noexcept;

  const guard_ground ground_;
  const platform::guard_support support_;
  const std::size_t budget_;
};

}  // namespace strata::mem
