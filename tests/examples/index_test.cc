// SPDX-License-Identifier: Apache-2.0
// Claims: the index is what a plain map of maps would hold; its digest depends on every part and not on the memory; all
// its bytes come from the memory it was given and go back; every memory of the demo serves the same requests.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "tests/examples/scratch_tree.h"

import index_headers;

namespace {

using index_headers::counting_resource;

std::uint64_t digest_of(const std::vector<std::pair<std::string, std::string>>& files) {
  index_headers::index built(std::pmr::new_delete_resource());
  for (const auto& [name, text] : files) built.add(name, text);
  return built.digest();
}

TEST(Index, AnswersWithPlacesFilesAndTheFirst) {
  index_headers::index built(std::pmr::new_delete_resource());
  built.add("a.h", "x y\nx x\n");
  built.add("b.h", "\n\nx z");
  EXPECT_EQ(built.answer("x"), "x: 3 lines in 2 files, first a.h:1");
  EXPECT_EQ(built.answer("z"), "z: 1 line in 1 file, first b.h:3");
  EXPECT_EQ(built.answer("w"), "w: nowhere");
  EXPECT_EQ(built.most_widespread(), "x");
  EXPECT_EQ(built.files(), 2U);
  EXPECT_EQ(built.identifiers(), 3U);
  EXPECT_EQ(built.places(), 5U);
}

TEST(Index, MayBeEmpty) {
  index_headers::index built(std::pmr::new_delete_resource());
  EXPECT_EQ(built.most_widespread(), "");
  built.add("empty.h", "");
  EXPECT_EQ(built.identifiers(), 0U);
  EXPECT_EQ(built.files(), 1U);
}

TEST(Index, DigestDependsOnEveryPart) {
  const std::set<std::uint64_t> digests{
      digest_of({{"a.h", "x y"}}),
      digest_of({{"b.h", "x y"}}),
      digest_of({{"a.h", "x\ny"}}),
      digest_of({{"a.h", "x z"}}),
      digest_of({{"a.h", "x"}}),
      digest_of({{"a.h", "x y\nx"}}),
      digest_of({{"a.h", "\nx y"}}),
      digest_of({{"a.h", "x"}, {"b.h", "y"}}),
      digest_of({{"a.h", "y"}, {"b.h", "x"}}),
  };
  EXPECT_EQ(digests.size(), 9U);
  EXPECT_EQ(digest_of({{"a.h", "x y"}}), digest_of({{"a.h", "y x"}})) << "order within a line is not indexed";
}

TEST(Index, HoldsWhatAPlainMapHolds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  index_headers::index built(std::pmr::new_delete_resource());
  std::map<std::string, std::map<std::string, std::set<std::uint32_t>>> model;
  for (int file = 10; file < 60; ++file) {
    const std::string name = "file" + std::to_string(file);
    std::string text;
    std::uint32_t line = 1;
    for (std::size_t words = random() % 300; words > 0; --words) {
      const std::string word =
          (random() % 2 == 0 ? "w" : "a_word_too_long_for_the_string_itself_") + std::to_string(random() % 50);
      text += word + (random() % 3 == 0 ? "\n" : " ");
      model[word][name].insert(line);
      line += text.back() == '\n';
    }
    built.add(name, text);
  }
  ASSERT_EQ(built.identifiers(), model.size());
  std::size_t places = 0;
  for (const auto& [word, where] : model) {
    std::size_t lines = 0;
    for (const auto& [name, at] : where) lines += at.size();
    places += lines;
    const auto& [first, at] = *where.begin();
    EXPECT_EQ(built.answer(word), word + ": " + std::to_string(lines) + (lines == 1 ? " line in " : " lines in ") +
                                      std::to_string(where.size()) + (where.size() == 1 ? " file" : " files") +
                                      ", first " + first + ":" + std::to_string(*at.begin()));
  }
  EXPECT_EQ(built.places(), places);
}

TEST(Index, TakesEveryByteFromItsMemory) {
  // Whatever went to the default resource instead would be refused.
  std::pmr::memory_resource* const before = std::pmr::set_default_resource(std::pmr::null_memory_resource());
  counting_resource memory(std::pmr::new_delete_resource());
  {
    index_headers::index built(&memory);
    built.add("a_name_too_long_for_the_string_itself.h", "and_an_identifier_too_long_for_the_string_itself\nx\nx\n");
    EXPECT_GT(memory.live_bytes(), 0U);
  }
  std::pmr::set_default_resource(before);
  EXPECT_EQ(memory.live_bytes(), 0U);
  EXPECT_EQ(memory.allocations(), memory.deallocations());
}

TEST(CountingResource, CountsRequestsAndBytes) {
  counting_resource memory(std::pmr::new_delete_resource());
  void* a = memory.allocate(100);
  void* b = memory.allocate(20, 64);
  memory.deallocate(a, 100);
  void* c = memory.allocate(1);
  EXPECT_EQ(memory.allocations(), 3U);
  EXPECT_EQ(memory.deallocations(), 1U);
  EXPECT_EQ(memory.live_bytes(), 21U);
  EXPECT_EQ(memory.peak_bytes(), 120U);
  memory.deallocate(b, 20, 64);
  memory.deallocate(c, 1);
  EXPECT_EQ(memory.live_bytes(), 0U);
}

TEST(CountingResource, CountsNothingThatWasRefused) {
  counting_resource memory(std::pmr::null_memory_resource());
  EXPECT_THROW(static_cast<void>(memory.allocate(1)), std::bad_alloc);
  EXPECT_EQ(memory.allocations(), 0U);
  EXPECT_EQ(memory.peak_bytes(), 0U);
}

class Memories : public testing::TestWithParam<std::string> {};

TEST_P(Memories, ServeTheSameRequestsForTheSameIndex) {
  const scratch_tree tree;
  index_headers::work_order order;
  for (int file = 0; file < 20; ++file) {
    std::string text;
    for (int line = 0; line < 100; ++line)
      text += "some_rather_long_identifier_" + std::to_string(line * file) + " x\n";
    order.files.push_back(tree.write(std::to_string(file) + ".h", text));
  }
  order.queries = {"x"};
  order.how = index_headers::mode::counting;
  order.where = index_headers::find_memory("new_delete");
  const auto expected = measure(order, [](std::size_t) {});
  ASSERT_TRUE(expected.ok()) << expected.status();
  EXPECT_EQ(expected->answers.back(), "x: 2000 lines in 20 files, first " + order.files[0] + ":1");

  order.where = index_headers::find_memory(GetParam());
  const auto got = measure(order, [](std::size_t) {});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(same_index(*got, *expected));
  EXPECT_EQ(got->allocations, expected->allocations);
  EXPECT_EQ(got->asked_bytes, expected->asked_bytes);
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const index_headers::memory& m : index_headers::memories()) all.emplace_back(m.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Memories, testing::ValuesIn(names()),
                         [](const auto& instance) { return instance.param; });

TEST(Measure, NamesTheFileThatWentAway) {
  index_headers::work_order order;
  order.where = index_headers::find_memory("new_delete");
  order.files = {"/nowhere/at_all.h"};
  EXPECT_EQ(measure(order, [](std::size_t) {}).status().message(),
            "/nowhere/at_all.h: changed while it was indexed: No such file or directory");
}

TEST(Measure, ReportsProgressAboutAHundredTimes) {
  const scratch_tree tree;
  index_headers::work_order order;
  order.where = index_headers::find_memory("new_delete");
  order.files.assign(1000, tree.write("x.h", "x"));
  std::size_t told = 0;
  ASSERT_TRUE(measure(order, [&](std::size_t) { ++told; }).ok());
  EXPECT_EQ(told, 100U);
}

}  // namespace
