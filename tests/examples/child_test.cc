// SPDX-License-Identifier: Apache-2.0
// Claims: a measurement made in a process of its own is the one made here; progress comes through; a process that
// fails, in order or not, is reported as a sentence. This test is also the program that it starts.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "tests/examples/scratch_tree.h"

import index_headers;

namespace {

index_headers::work_order order_for(const scratch_tree& tree) {
  index_headers::work_order order;
  order.where = index_headers::find_memory("std_pool");
  order.files = {tree.write("a\n.h", "x y"), tree.write("b.h", "x")};
  order.queries = {"x", ""};
  return order;
}

TEST(Child, MeasuresWhatWouldBeMeasuredHere) {
  const scratch_tree tree;
  index_headers::work_order order = order_for(tree);
  for (const auto how : {index_headers::mode::timing, index_headers::mode::counting}) {
    order.how = how;
    const auto here = measure(order, [](std::size_t) {});
    std::vector<std::size_t> told;
    const auto there = measure_in_child(order, [&](std::size_t done) { told.push_back(done); });
    ASSERT_TRUE(here.ok()) << here.status();
    ASSERT_TRUE(there.ok()) << there.status();
    EXPECT_EQ(there->digest, here->digest);
    EXPECT_EQ(there->allocations, here->allocations);
    EXPECT_EQ(there->asked_bytes, here->asked_bytes);
    EXPECT_EQ(there->allocations != 0, how == index_headers::mode::counting);
    EXPECT_EQ(told, (std::vector<std::size_t>{0, 1}));
  }
}

TEST(Child, ReportsAFailureInItsOwnWords) {
  const scratch_tree tree;
  index_headers::work_order order = order_for(tree);
  order.files.push_back(tree.path("missing.h"));
  EXPECT_EQ(measure_in_child(order, [](std::size_t) {}).status().message(),
            tree.path("missing.h") + ": changed while it was indexed: No such file or directory");
}

TEST(Child, ReportsADeathBySignal) {
  const scratch_tree tree;
  index_headers::work_order order = order_for(tree);
  order.queries = {"die"};
  EXPECT_EQ(measure_in_child(order, [](std::size_t) {}).status().message(),
            "ended by signal " + std::to_string(SIGKILL));
}

TEST(Child, ReportsAnAnswerThatNeverCame) {
  const scratch_tree tree;
  index_headers::work_order order = order_for(tree);
  order.queries = {"leave"};
  EXPECT_EQ(measure_in_child(order, [](std::size_t) {}).status().message(), "it ended without an answer");
}

TEST(Child, IsNotMistakenForAUsersCall) {
  char name[] = "index_headers";
  char directory[] = "measure-one-memory";
  char* argv[] = {name, directory, nullptr};
  EXPECT_FALSE(index_headers::is_child(1, argv));
  EXPECT_FALSE(index_headers::is_child(2, argv)) << "a directory may have that name";
}

}  // namespace

int main(int argc, char** argv) {
  if (index_headers::is_child(argc, argv)) {
    const std::string_view last = argv[argc - 1];
    if (last == "die") ::kill(::getpid(), SIGKILL);
    if (last == "leave") return 0;
    return index_headers::child_main(argc, argv);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
