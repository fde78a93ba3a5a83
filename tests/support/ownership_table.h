// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory_resource>
#include <utility>

#include "tests/support/findings.h"
#include "tests/support/own_memory.h"

namespace strata::test {

/// resource.allocate(), as a checker needs it: the standard library promises the compiler that the result is neither
/// null nor misaligned, and the compiler then drops checks of it. What comes from here carries no such promise.
[[nodiscard]] void* ask(std::pmr::memory_resource& resource, std::size_t bytes, std::size_t alignment);

/// A block as its owner knows it.
struct owned_block {
  void* memory = nullptr;
  std::size_t bytes = 0;
  std::size_t alignment = 1;
  std::uint64_t tag = 0;  ///< in the pattern; no two blocks have the same
};

/// The blocks a test holds. Every block entered is checked for null, alignment and overlap with the others, and written
/// with a pattern of its address and tag; when it leaves, the pattern must still be there.
///
/// Blocks of up to 1 KiB are written whole; of larger ones the first and last 256 bytes and 16 of every 4096 between, or
/// above 128 KiB of every fourth 4096, which ones being another matter for each block: pages cost more than bytes.
///
/// Thread safety  one thread at a time; blocks go from one thread's table to another's with take() and enter_owned()
class ownership_table {
 public:
  explicit ownership_table(findings::manner how = findings::manner::fail_the_test) : found_(how) {}
  ownership_table(const ownership_table&) = delete;
  ownership_table& operator=(const ownership_table&) = delete;

  /// Allocates and enters. Throws what `resource` throws; nothing is then entered.
  void allocate(std::pmr::memory_resource& resource, std::size_t bytes, std::size_t alignment);
  /// Verifies, removes and deallocates block `index` (0 … size() - 1; the last block takes its place).
  void deallocate(std::pmr::memory_resource& resource, std::size_t index);
  /// Deallocates all, the last first.
  void deallocate_all(std::pmr::memory_resource& resource);

  /// Enters a block that was just allocated.
  void enter(void* memory, std::size_t bytes, std::size_t alignment);
  /// Enters a block taken from another table: it carries its pattern already, which is verified.
  void enter_owned(const owned_block& block);
  /// Verifies and removes block `index`; it is the caller's.
  owned_block take(std::size_t index);

  /// Verifies every block.
  void verify();
  /// Forgets every block unverified: its resource took it back.
  void forget() noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return blocks_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] const findings& found() const noexcept { return found_; }

 private:
  using extents =
      std::map<std::uintptr_t, std::size_t, std::less<>, own_allocator<std::pair<const std::uintptr_t, std::size_t>>>;

  bool insert(const owned_block& block);
  void verify(const owned_block& block);

  findings found_;
  own_vector<owned_block> blocks_;
  extents by_address_;  // address → bytes, at least 1
  std::size_t bytes_ = 0;
};

}  // namespace strata::test
