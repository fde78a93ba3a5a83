// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdio>
#include <optional>
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

/// Where memory goes, from what was asked for to what lies in RAM. All are bytes; each holds the one before it, and what
/// is between two is the cost of a kind of layer.
struct attribution {
  std::size_t requested = 0;              ///< handed out to the program, as asked for, by all layers
  std::size_t handed_out = 0;             ///< and headers, rounding and fences of the layers above sources
  std::size_t carved = 0;                 ///< and what those layers keep ready: all that sources handed out
  std::size_t mapped = 0;                 ///< and what the sources round up or keep: all that the OS gave
  std::optional<std::size_t> resident{};  ///< of `mapped`, in RAM. Nothing: some source does not tell
};

class report {
 public:
  static constexpr std::size_t max_rows = 24;
  static constexpr std::size_t max_degradations = 4;  ///< a row

  /// Which layers are collected, where one has two upstreams.
  static constexpr std::size_t no_row = static_cast<std::size_t>(-1);

  enum class reach : bool {
    all,
    first_upstreams,  ///< what is below second upstreams is left out
  };

  struct row {
    const char* name;
    statistics figures;
    std::array<degradation, max_degradations> degraded;
    std::size_t degradations;             ///< how many of `degraded` are filled
    const void* who;                      ///< the layer; null: not known
    std::size_t first;                    ///< index of the row of its upstream, or no_row
    std::size_t second;                   ///< of the second one
    std::optional<std::size_t> resident;  ///< bytes in RAM of what a source took; nothing: it does not tell
    std::size_t branch;                   ///< second upstreams on the way to it from the layer that was asked
  };

  explicit report(reach wanted = reach::all) noexcept : reach_(wanted) {}

  /// Rows beyond max_rows are dropped, and so is another one for the same `who`: two upstreams may share what is below
  /// them.
  void add(const char* name, const statistics& figures, std::span<const degradation> degraded,
           const void* who = nullptr, std::optional<std::size_t> resident = {}) noexcept;

  /// Says which rows the one that is added next stands on.
  inline void stand_on(std::size_t first, std::size_t second) noexcept {
    first_ = first;
    second_ = second;
  }

  [[nodiscard]] inline std::span<const row> rows() const noexcept { return {rows_.data(), count_}; }
  /// Index of the row that was added last, or would have been were it not there already; no_row when it was dropped.
  [[nodiscard]] inline std::size_t latest() const noexcept { return latest_; }
  /// Rows that did not fit.
  [[nodiscard]] inline std::size_t dropped() const noexcept { return dropped_; }

  /// Of what a row has live: what no other row has taken from it. The program has that, or layers not in this report.
  [[nodiscard]] std::size_t handed_out(const row& r) const noexcept;
  /// Of what a row took from upstream: what is no other row's, but the OS's or of a resource that is no layer.
  [[nodiscard]] static std::size_t taken_from_outside(const row& r) noexcept;

  /// Where the memory of all rows goes. While no call is under way, and no row was dropped, the sum over all rows of
  /// handed_out(), kept and overhead is `mapped`, and so is the sum of taken_from_outside().
  [[nodiscard]] attribution attribute() const noexcept;

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

  /// Prints a head and a row for each layer, those of a second upstream indented, where the memory goes, then what
  /// is degraded, with reasons.
  /// Allocates nothing of its own.
  void write(std::FILE* out) const;

 private:
  std::array<row, max_rows> rows_{};
  std::size_t count_ = 0;
  std::size_t branch_ = 0;
  std::size_t first_ = no_row;
  std::size_t second_ = no_row;
  std::size_t latest_ = no_row;
  std::size_t dropped_ = 0;
  reach reach_;
};

}  // namespace strata::pmr
