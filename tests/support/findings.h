// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <string>

namespace strata::test {

/// What a checker of the kit can find wrong.
enum class fault : unsigned char {
  null_block,       ///< an allocation gave a null pointer
  misaligned,       ///< a block is not aligned as asked
  overlap,          ///< a block lies over a live one
  unknown_pointer,  ///< a deallocated pointer is no live block
  wrong_size,       ///< deallocated with a size other than allocated
  wrong_alignment,  ///< deallocated with an alignment other than allocated
  bad_request,      ///< asked for an alignment that is not a power of two
  overwritten,      ///< bytes round a block were written
  lost_contents,    ///< bytes of a live block changed
  leaked,           ///< never given back
};
inline constexpr std::size_t fault_kinds = 10;

[[nodiscard]] const char* name_of(fault kind) noexcept;

/// Where checkers report. Each fault fails the running GoogleTest test, or is only counted (for tests of the kit
/// itself).
///
/// Thread safety  every member from any thread
class findings {
 public:
  enum class manner : unsigned char { fail_the_test, count_only };

  explicit findings(manner how = manner::fail_the_test) noexcept : how_(how) {}
  findings(const findings&) = delete;
  findings& operator=(const findings&) = delete;

  /// Counts `kind`; the first few are also told with `text`. Not seen by the heap counts. Never throws.
  void report(fault kind, const std::string& text) noexcept;

  [[nodiscard]] std::size_t count() const noexcept;
  [[nodiscard]] std::size_t count(fault kind) const noexcept;
  /// The text reported first, empty when there was none.
  [[nodiscard]] std::string first() const;

 private:
  const manner how_;
  mutable std::mutex mutex_;
  std::array<std::size_t, fault_kinds> counts_{};
  std::string first_;
};

/// "0x7f… (24 bytes, alignment 8)", for the texts of reports.
[[nodiscard]] std::string describe(const void* block, std::size_t bytes, std::size_t alignment);

}  // namespace strata::test
