// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <span>

export module strata.pmr:tracking_calls;

import :profile_source;
import :refusals;
import :report;
import :text_sink;
import :tracking_options;

import strata.mem;

/// What of a tracking_adaptor does not depend on the upstream's type: which blocks are noted, and what is told of them.
///
/// Thread class as `Threads` says; no lock is held while upstream, a handler or a sink is called.
namespace strata::pmr {

template <mem::threads Threads>
class tracking_calls {
 public:
  tracking_calls(const tracking& options, std::pmr::memory_resource* upstream);
  tracking_calls(const tracking_calls&) = delete;
  tracking_calls& operator=(const tracking_calls&) = delete;

  /// Whether a new block is counted, and none to be noted; else note() does both. Always false where all are noted.
  [[nodiscard]] inline bool passes(std::size_t bytes) noexcept { return meter_.passes(bytes); }
  /// The block; or an exception, and it is back with upstream.
  [[nodiscard]] void* note(void* p, std::size_t bytes, std::size_t alignment, const void* caller);
  void note_failure() noexcept { failures_.add(1); }

  [[nodiscard]] inline bool may_know(const void* p) const noexcept { return blocks_.may_know(p); }
  /// Whether a block that goes, and is not known, is counted; else take() does it. Pre: !may_know(p).
  [[nodiscard]] inline bool passes_back(std::size_t bytes) noexcept { return meter_.passes_back(bytes); }
  /// A block goes that may be known. False: it was misuse, has been reported, and must not go.
  [[nodiscard]] bool take(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  void release() noexcept;

  void push();
  [[nodiscard]] tracking_scope pop() noexcept;
  void write_live(const text_sink& to, std::size_t most) const noexcept;
  /// What the adaptor's destructor does.
  void end() noexcept;

  [[nodiscard]] const char* resource() const noexcept {
    return options_.resource != nullptr ? options_.resource : options_.name;
  }
  [[nodiscard]] std::size_t period() const noexcept { return exact() ? 1 : options_.sample_bytes; }
  [[nodiscard]] std::size_t places() const noexcept { return blocks_.extent(); }
  [[nodiscard]] profiled_place place(std::size_t number) const noexcept;

  [[nodiscard]] statistics figures() const noexcept;
  [[nodiscard]] const char* check() const noexcept { return blocks_.check(); }
  [[nodiscard]] std::size_t unrecorded() const noexcept { return unrecorded_.because(nullptr).times; }
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept;

 private:
  using blocks = mem::tracked_blocks<Threads>;

  [[nodiscard]] bool exact() const noexcept { return blocks_.knows_all(); }
  [[nodiscard]] mem::metered count() const noexcept { return exact() ? blocks_.count() : meter_.count(); }
  void report(const typename blocks::answer& found, const void* p, std::size_t bytes, std::size_t alignment,
              const char* detail) const noexcept;
  void write_place(const text_sink& to, const profiled_place& place) const noexcept;

  const tracking options_;
  std::pmr::memory_resource* const upstream_;
  mem::sampling_meter<Threads> meter_;  ///< of no account where every block is noted
  mutable blocks blocks_;               ///< asking for figures notes a peak
  mem::tally<Threads> failures_;
  refusals unrecorded_;
};

}  // namespace strata::pmr
