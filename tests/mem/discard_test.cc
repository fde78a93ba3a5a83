// SPDX-License-Identifier: Apache-2.0
// Claims: the whole pages within a range are handed back, and read as zero; what is in front of the first and behind the
// last stays as it is; a range without a whole page costs no call; what the OS refuses stays as it is.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <span>

import strata.mem;

namespace strata::mem {
namespace {

struct Discard : testing::Test {
  static constexpr std::size_t pages = 5;
  const std::size_t page = page_bytes();
  void* const base = ::mmap(nullptr, pages* page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const std::span<std::byte> all{static_cast<std::byte*>(base), pages* page};

  Discard() { std::fill(all.begin(), all.end(), std::byte{0x77}); }
  ~Discard() override { ::munmap(base, all.size()); }

  [[nodiscard]] std::size_t written() const {
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), std::byte{0x77}));
  }
};

TEST_F(Discard, HandsBackWholePagesAndNothingBesides) {
  EXPECT_EQ(discard(all.data() + 1, 3 * page), 2 * page);
  EXPECT_EQ(written(), 3 * page);
  EXPECT_EQ(all[page - 1], std::byte{0x77});
  EXPECT_EQ(all[page], std::byte{0});
  EXPECT_EQ(all[3 * page - 1], std::byte{0});
  EXPECT_EQ(all[3 * page], std::byte{0x77});
}

TEST_F(Discard, LeavesARangeWithoutAWholePage) {
  EXPECT_EQ(discard(all.data(), 0), 0U);
  EXPECT_EQ(discard(all.data(), page - 1), 0U);
  EXPECT_EQ(discard(all.data() + 1, 2 * page - 2), 0U);
  EXPECT_EQ(written(), pages * page);
}

TEST_F(Discard, LeavesWhatTheOsRefuses) {
  // The bare call: sanitizers ignore the library's.
  if (::syscall(SYS_mlock, base, page) != 0) GTEST_SKIP() << "nothing may be locked here";
  EXPECT_EQ(discard(all.data(), page), 0U);
  EXPECT_EQ(written(), pages * page);
}

}  // namespace
}  // namespace strata::mem
