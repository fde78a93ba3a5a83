// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>

export module strata.pmr:report;

import strata.mem;

/// Figures of layers and the table they make. Values without memory of their own: collected first, printed later, so
/// that nothing is printed while a layer is locked.
export namespace strata::pmr {

/// A layer's figures at one moment. All are bytes unless they say blocks or calls.
///
/// upstream = live + kept + overhead, exactly, whenever no call is under way.
struct statistics {
  std::size_t live = 0;         ///< handed out, as asked for
  std::size_t kept = 0;         ///< taken from upstream, ready to be handed out
  std::size_t overhead = 0;     ///< taken from upstream for headers, rounding, fences
  std::size_t upstream = 0;     ///< taken from upstream (a source: from the OS) and not given back
  std::size_t from_second = 0;  ///< of `upstream`: taken from the second one, by a layer that has two
  std::size_t peak = 0;         ///< highest `live` so far
  std::size_t live_blocks = 0;  ///< blocks handed out
  std::size_t allocations = 0;  ///< calls of allocate that succeeded
  std::size_t failures = 0;     ///< calls of allocate that threw
};

/// Something a layer was asked for and could not do, but went on without.
struct degradation {
  const char* reason;     ///< a sentence with the remedy
  mem::os_error cause{};  ///< the call that was refused, if any
  std::size_t times = 0;  ///< how often
};

class report {
 public:
  static constexpr std::size_t max_rows = 24;
  static constexpr std::size_t max_degradations = 4;  ///< a row

  /// Which layers are collected, where one has two upstreams.
  enum class reach : bool {
    all,
    first_upstreams,  ///< what is below second upstreams is left out
  };

  struct row {
    const char* name;
    statistics figures;
    std::array<degradation, max_degradations> degraded;
    std::size_t degradations;  ///< how many of `degraded` are filled
    const void* who;           ///< the layer; null: not known
    std::size_t branch;        ///< second upstreams on the way to it from the layer that was asked
  };

  explicit report(reach wanted = reach::all) noexcept : reach_(wanted) {}

  /// Rows beyond max_rows are dropped, and so is another one for the same `who`: two upstreams may share what is below
  /// them.
  void add(const char* name, const statistics& figures, std::span<const degradation> degraded,
           const void* who = nullptr) noexcept;

  [[nodiscard]] inline std::span<const row> rows() const noexcept { return {rows_.data(), count_}; }
  [[nodiscard]] inline reach wanted() const noexcept { return reach_; }

  /// As long as it lives, what is added lies below a second upstream.
  class second_upstream {
   public:
    inline explicit second_upstream(report& into) noexcept : into_(into) { ++into_.branch_; }
    inline ~second_upstream() { --into_.branch_; }
    second_upstream(const second_upstream&) = delete;
    second_upstream& operator=(const second_upstream&) = delete;

   private:
    report& into_;
  };

  /// Prints a head and a row for each layer, those of a second upstream indented, then what is degraded, with reasons.
  /// Allocates nothing of its own.
  void write(std::FILE* out) const;

 private:
  std::array<row, max_rows> rows_{};
  std::size_t count_ = 0;
  std::size_t branch_ = 0;
  reach reach_;
};

}  // namespace strata::pmr
