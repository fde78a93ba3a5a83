// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:budget;

import :threads;

/// How much may be taken: an account of bytes with a limit, fixed or a share of the memory there is.
///
/// A share counts what a file system's own cache (ZFS: ARC) would give back, but only in time: such a cache shrinks under
/// pressure, not at once. So an account by share has two marks.
///
///     0 ……… live ……… ready ……… limit        ready: what there was at the last look, without that cache
///                                            limit: with it; never changes by itself
///
/// A claim beyond `ready` looks again at what is there by now, and is refused as `not_yet` if that will not do.
///
/// Any thread, or with threads::one one at a time; nothing throws, allocates or locks. A claim is never refused because
/// another, itself refused, was tried at the same time.
export namespace strata::mem {

/// Memory that can be had, bytes; 0: not known.
struct headroom {
  std::uint64_t at_once = 0;
  std::uint64_t in_time = 0;  ///< with what other caches keep and would give up
};

/// Reads it from the OS, containers' limits included. `root` is put before every path read: a test's tree.
[[nodiscard]] headroom measure_headroom(const char* root) noexcept;
[[nodiscard]] headroom measure_headroom() noexcept;

enum class refusal : std::uint8_t {
  none,
  over_limit,
  not_yet,  ///< within the limit, but the memory is still in another cache
};

struct budget_plan {
  std::size_t bytes = 0;                           ///< most that may be live; 0: as the share says
  double share = 0;                                ///< of the headroom in time, up to 1; 0: as `bytes` says
  headroom (*look)() noexcept = measure_headroom;  ///< how the headroom is found
};

template <threads Threads>
class budget {
 public:
  /// Looks, if the plan has a share. The smaller of both limits counts.
  explicit budget(const budget_plan& plan) noexcept;

  /// Adds to what is live, or does not.
  [[nodiscard]] refusal claim(std::size_t bytes) noexcept;
  /// Takes away what was claimed.
  void give(std::size_t bytes) noexcept { live_.subtract(bytes); }

  [[nodiscard]] std::size_t limit() const noexcept { return limit_.get(); }
  /// From now on; what is live stays. A share of the headroom no longer counts.
  void set_limit(std::size_t bytes) noexcept;

  [[nodiscard]] std::size_t live() const noexcept { return live_.get(); }
  /// Most that was live at once.
  [[nodiscard]] std::size_t peak() const noexcept { return peak_.get(); }

  /// Most that was live at once since the last start_baseline(), or ever.
  [[nodiscard]] std::size_t baseline() const noexcept { return baseline_.get(); }
  void start_baseline() noexcept { baseline_.set(live_.get()); }
  /// A limit that suits what the baseline saw: a quarter more, in whole pages of 64 KiB.
  [[nodiscard]] std::size_t suggested_limit() const noexcept;

 private:
  [[nodiscard]] bool make_ready(std::size_t wanted) noexcept;

  const budget_plan plan_;
  tally<Threads> limit_;
  tally<Threads> ready_;
  tally<Threads> live_;
  tally<Threads> peak_;
  tally<Threads> baseline_;
};

}  // namespace strata::mem
