// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <optional>

export module strata.mem:page_run;

import strata.platform;

/// Runs of whole pages from the OS, for requests of any size.
///
/// The platform speaks of page multiples only; here sizes are rounded and what cannot be is refused without asking. Any
/// thread; nothing throws, allocates or locks; one system call or a few each.
export namespace strata::mem {

/// So that the floor above can name the cause of a failure.
using platform::name_of;
using platform::os_error;

/// Contiguous pages; `bytes` is a multiple of page_bytes().
struct page_run {
  void* base = nullptr;
  std::size_t bytes = 0;
};

struct page_run_options {
  bool prefault = false;        ///< make every page resident before the run is returned
  const char* label = nullptr;  ///< shown by the OS's tools, where it can
};

struct page_run_result {
  page_run run{};  ///< base is null when refused
  os_error error{};
};

/// Size of a base page in bytes.
[[nodiscard]] std::size_t page_bytes() noexcept;

/// Largest alignment a run can have, in bytes.
inline constexpr std::size_t max_run_alignment = std::size_t{1} << 30;

/// Bytes of the run that holds `bytes` (zero takes a page), or 0 when there is none so large.
[[nodiscard]] std::size_t run_bytes_for(std::size_t bytes) noexcept;

/// Takes readable, writable, zero-filled pages. Pre: `alignment` is a power of two.
[[nodiscard]] page_run_result map_run(std::size_t bytes, std::size_t alignment,
                                      const page_run_options& options) noexcept;

/// Gives a run back. When the OS refuses, the run stays mapped and its contents are given up: see stranded_runs.
[[nodiscard]] os_error unmap_run(page_run run) noexcept;

/// Bytes of a run that are in RAM; nothing when the OS does not tell. O(pages).
[[nodiscard]] std::optional<std::size_t> resident_in(page_run run) noexcept;

/// Runs the OS would not take back, kept in a list that lies in the runs themselves. One thread at a time.
///
/// A process at its mapping limit cannot unmap what would split a mapping (Linux: ENOMEM). Deallocating must not fail,
/// so such runs wait here, costing one page each, until a later attempt succeeds.
class stranded_runs {
 public:
  /// Pre: `run` is mapped and nobody else's.
  void add(page_run run) noexcept;

  /// Tries to unmap the runs again, newest first, until one is refused. Returns the bytes given back.
  std::size_t retry() noexcept;

  [[nodiscard]] inline std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct node {
    node* next;
    std::size_t bytes;
  };
  node* head_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace strata::mem
