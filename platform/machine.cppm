// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

export module strata.platform:machine;

/// What a report on the machine's memory shows beside memory(): where the limit comes from, pools of large pages, modes
/// of large pages, and file systems that live in memory.
///
/// Nothing here throws, allocates or logs. A list fills `out` and returns how many there are, which may be more than
/// fit. What the OS does not tell is left out, or 0. `root` is put before every path read: a test's tree.
///
/// Threads  any; the figures of one call are read one after the other and are no snapshot
/// Signals  not for signal handlers; takes about 48 KiB of stack
export namespace strata::platform {

/// A short text of the OS's. What does not fit is cut off.
class fact_text {
 public:
  static constexpr std::size_t capacity = 256;

  fact_text() noexcept = default;
  explicit fact_text(std::string_view text) noexcept { append(text); }
  fact_text& append(std::string_view text) noexcept;

  [[nodiscard]] inline std::string_view view() const noexcept { return {text_, size_}; }

 private:
  std::size_t size_ = 0;
  char text_[capacity];
};

/// Says what sets memory_status::limit: "machine", or the control group's file, or the zone's cap.
[[nodiscard]] fact_text limit_origin(const char* root = "") noexcept;

/// A page size, and the pool of pages set aside for those who ask for this size. All counts are pages.
struct page_pool {
  std::uint64_t page = 0;  ///< bytes
  bool is_pool = false;    ///< else pages of this size are found when asked for, if at all
  std::uint64_t total = 0;
  std::uint64_t free = 0;      ///< of those, not in use
  std::uint64_t reserved = 0;  ///< of those, promised
};

/// Lists page_sizes(), smallest first.
std::size_t page_pools(std::span<page_pool> out, const char* root = "") noexcept;

/// How the OS gives large pages unasked: one choice, and the word that is set.
struct large_page_mode {
  fact_text choice;
  fact_text mode;
};

std::size_t large_page_modes(std::span<large_page_mode> out, const char* root = "") noexcept;

/// A file system whose files are memory.
struct memory_file_system {
  fact_text path;
  std::uint64_t size = 0;  ///< bytes it may hold; 0: no bound of its own
  std::uint64_t used = 0;  ///< bytes
};

/// Lists those that are mounted, each place once. (Of those that do not fit, a place mounted over counts again.)
std::size_t memory_file_systems(std::span<memory_file_system> out, const char* root = "") noexcept;

}  // namespace strata::platform
