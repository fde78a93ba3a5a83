// SPDX-License-Identifier: Apache-2.0
// Claims, on every system: every page size is listed once, smallest first, and no pool promises more than it has; lists
// say how much there is when it does not fit; a limit of the process has an origin; texts are cut, never overrun.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

import strata.platform;

namespace {

namespace platform = strata::platform;

TEST(Machine, ListsEveryPageSizeOnce) {
  std::array<platform::page_pool, 16> pools;
  std::array<std::size_t, 16> sizes{};
  const std::size_t known = platform::page_pools(pools);
  ASSERT_EQ(known, platform::page_sizes(sizes));
  ASSERT_LE(known, pools.size());
  for (std::size_t i = 0; i != known; ++i) {
    EXPECT_EQ(pools[i].page, sizes[i]);
    EXPECT_LE(pools[i].free, pools[i].total);
    EXPECT_LE(pools[i].reserved, pools[i].free);
    if (!pools[i].is_pool) EXPECT_EQ(pools[i].total, 0U);
  }
  EXPECT_FALSE(pools[0].is_pool) << "the base page";
}

TEST(Machine, ListsSayHowMuchThereIsWhenItDoesNotFit) {
  EXPECT_EQ(platform::page_pools({}), platform::page_sizes({}));
  std::vector<platform::memory_file_system> all(256);
  all.resize(platform::memory_file_systems(all));
  EXPECT_GE(platform::memory_file_systems({}), all.size()) << "a place mounted twice may count twice";
  for (const auto& fs : all) {
    EXPECT_TRUE(fs.path.view().starts_with('/'));
    if (fs.size != 0) EXPECT_LE(fs.used, fs.size);
  }
  std::vector<platform::large_page_mode> modes(64);
  modes.resize(platform::large_page_modes(modes));
  EXPECT_EQ(platform::large_page_modes({}), modes.size());
  for (const auto& mode : modes) EXPECT_FALSE(mode.mode.view().empty()) << mode.choice.view();
}

TEST(Machine, ALimitHasAnOrigin) {
  const auto status = platform::memory();
  EXPECT_EQ(status.limit == status.managed, platform::limit_origin().view() == "machine")
      << platform::limit_origin().view();
}

TEST(Machine, TextsAreCut) {
  const std::string longer(platform::fact_text::capacity + 10, 'x');
  platform::fact_text text(longer);
  EXPECT_EQ(text.view(), longer.substr(0, platform::fact_text::capacity));
  EXPECT_EQ(text.append("more").view().size(), platform::fact_text::capacity);
  EXPECT_EQ(platform::fact_text("a").append("b").view(), "ab");
  EXPECT_EQ(platform::fact_text().view(), "");
}

}  // namespace
