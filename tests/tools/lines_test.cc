// SPDX-License-Identifier: Apache-2.0
// Claims: a stream is shown line by line, however its lines fall on what is read at a time; the last one is whole only
// with its end; of a line that is too long the beginning is shown, once; a read that fails is told.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

import tools;

namespace {

struct closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using stream = std::unique_ptr<std::FILE, closer>;

stream holding(const std::string& text) {
  stream file(std::tmpfile());
  std::fwrite(text.data(), 1, text.size(), file.get());
  std::rewind(file.get());
  return file;
}

constexpr std::size_t longest = tools::lines::longest;

TEST(Lines, AreShownWhole) {
  const stream file = holding("one\n\nthree\n");
  tools::lines all(file.get());
  ASSERT_TRUE(all.next());
  EXPECT_EQ(all.text(), "one");
  EXPECT_TRUE(all.whole());
  ASSERT_TRUE(all.next());
  EXPECT_EQ(all.text(), "");
  ASSERT_TRUE(all.next());
  EXPECT_EQ(all.text(), "three");
  EXPECT_EQ(all.number(), 3U);
  EXPECT_FALSE(all.next());
  EXPECT_EQ(all.error(), 0);
}

TEST(Lines, TheLastOneWithoutEndIsNotWhole) {
  const stream file = holding("one\ntw");
  tools::lines all(file.get());
  ASSERT_TRUE(all.next());
  ASSERT_TRUE(all.next());
  EXPECT_EQ(all.text(), "tw");
  EXPECT_FALSE(all.whole());
  EXPECT_FALSE(all.next());
}

TEST(Lines, OfATooLongOneTheBeginningIsShownOnce) {
  for (const std::size_t size : {longest, longest + 1, 2 * longest, 2 * longest + 1, 5 * longest + 7}) {
    const stream file = holding("before\n" + std::string(size, 'x') + "\nafter\n");
    tools::lines all(file.get());
    ASSERT_TRUE(all.next());
    EXPECT_EQ(all.text(), "before");
    ASSERT_TRUE(all.next());
    EXPECT_EQ(all.text(), std::string(longest, 'x'));
    EXPECT_EQ(all.whole(), size <= longest) << size;
    ASSERT_TRUE(all.next());
    EXPECT_EQ(all.text(), "after") << size;
    EXPECT_TRUE(all.whole());
    EXPECT_FALSE(all.next());
  }
}

TEST(Lines, FallOnTheBufferInAnyWay) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  std::vector<std::string> written;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    const std::size_t most = i % 10 == 0 ? longest : 200;
    written.emplace_back(std::uniform_int_distribution<std::size_t>(0, most)(random), static_cast<char>('a' + i % 26));
    text += written.back() + '\n';
  }
  const stream file = holding(text);
  tools::lines all(file.get());
  for (const std::string& line : written) {
    ASSERT_TRUE(all.next()) << "seed " << seed;
    ASSERT_EQ(all.text(), line) << "seed " << seed;
    ASSERT_TRUE(all.whole()) << "seed " << seed;
  }
  EXPECT_FALSE(all.next());
}

TEST(Lines, TellAReadThatFails) {
  const stream folder(std::fopen("/", "r"));
  ASSERT_NE(folder, nullptr);
  tools::lines all(folder.get());
  EXPECT_FALSE(all.next());
  EXPECT_NE(all.error(), 0);
}

}  // namespace
