// SPDX-License-Identifier: Apache-2.0
// Claims: a tree is listed completely, in one order, without following links or entering hidden directories; what
// cannot be read is named and the rest is still found; a root that gives no header is refused in a sentence. A file is
// read as it is, or refused with the reason.
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/examples/scratch_tree.h"
#include "tests/examples/unprivileged.h"

import index_headers;

namespace {

using index_headers::scan;
using index_headers::source_reader;

void nobody_asks(std::size_t) {}

std::string refusal(const std::string& root) { return std::string(scan(root, nobody_asks).status().message()); }

TEST(Tree, ListsHeadersInTheOrderOfTheirBytes) {
  const scratch_tree tree;
  const std::string b = tree.write("b.h", "");
  const std::string deep = tree.write("a/deep/x.hpp", "");
  const std::string bare = tree.write("c++/vector", "");
  const std::string odd = tree.write("\xff\n.hh", "");
  tree.write("a/source.cc", "");
  const auto result = scan(tree.root(), nobody_asks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->files, (std::vector<std::string>{deep, b, bare, odd}));
  EXPECT_TRUE(result->skipped.empty());
}

TEST(Tree, FollowsNoLinkBelowTheRoot) {
  const scratch_tree tree;
  const std::string only = tree.write("sub/only.h", "");
  tree.link("sub/loop", "..");
  tree.link("again.h", "sub/only.h");
  tree.link("round.h", "round.h");
  tree.link("nowhere.h", "missing");
  const auto result = scan(tree.root(), nobody_asks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->files, std::vector<std::string>{only});
  EXPECT_EQ(result->links, 4U);
}

TEST(Tree, FollowsARootThatIsALink) {
  const scratch_tree tree;
  tree.write("real/x.h", "");
  tree.link("alias", "real");
  const auto result = scan(tree.path("alias"), nobody_asks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->files, std::vector<std::string>{tree.path("alias/x.h")});
}

TEST(Tree, StaysOutOfHiddenDirectories) {
  const scratch_tree tree;
  tree.write(".git/x.h", "");
  const std::string seen = tree.write("x.h", "");
  const auto result = scan(tree.root(), nobody_asks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->files, std::vector<std::string>{seen});
}

TEST(Tree, NamesADirectoryItMayNotRead) {
  const scratch_tree tree;
  tree.write("closed/x.h", "");
  const std::string open = tree.write("open/x.h", "");
  tree.close_to_all("closed");
  const unprivileged self;
  if (!unprivileged::effective()) GTEST_SKIP() << "root cannot become another user here";
  const auto result = scan(tree.root(), nobody_asks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->files, std::vector<std::string>{open});
  ASSERT_EQ(result->skipped.size(), 1U);
  EXPECT_EQ(result->skipped[0].path, tree.path("closed"));
  EXPECT_EQ(result->skipped[0].why, "Permission denied");
}

TEST(Tree, TellsHowManyItHasFound) {
  const scratch_tree tree;
  tree.write("a/x.h", "");
  tree.write("b/y.h", "");
  std::vector<std::size_t> told;
  ASSERT_TRUE(scan(tree.root(), [&](std::size_t found) { told.push_back(found); }).ok());
  EXPECT_EQ(told, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(Tree, RefusesARootThatGivesNothing) {
  const scratch_tree tree;
  EXPECT_EQ(refusal(tree.path("missing")), tree.path("missing") + ": no such directory");
  const std::string file = tree.write("file.h", "");
  EXPECT_EQ(refusal(file), file + ": not a directory");
  tree.directory("empty/in/depth");
  EXPECT_EQ(refusal(tree.path("empty")), tree.path("empty") + ": no headers in this tree");
  tree.link("round", "round");
  EXPECT_EQ(refusal(tree.path("round")), tree.path("round") + ": Too many levels of symbolic links");
}

TEST(Tree, RefusesARootItMayNotRead) {
  const scratch_tree tree;
  tree.write("closed/x.h", "");
  tree.close_to_all("closed");
  const unprivileged self;
  if (!unprivileged::effective()) GTEST_SKIP() << "root cannot become another user here";
  EXPECT_EQ(refusal(tree.path("closed")), tree.path("closed") + ": Permission denied");
}

TEST(SourceReader, ReadsFilesOfAnySizeOneAfterAnother) {
  const scratch_tree tree;
  source_reader reader;
  for (const std::size_t size : {0UL, 1UL, 65535UL, 65536UL, 65537UL, 1000000UL, 3UL}) {
    std::string text(size, 'x');
    if (!text.empty()) text.back() = '\xff';
    const auto read = reader.read(tree.write("x.h", text));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, text);
  }
}

TEST(SourceReader, RefusesWhatIsNoText) {
  const scratch_tree tree;
  source_reader reader;
  const auto refused = [&](const std::string& path) { return std::string(reader.read(path).status().message()); };
  EXPECT_EQ(refused(tree.write("binary", std::string("\x7f"
                                                     "ELF\0\1",
                                                     6))),
            "binary");
  EXPECT_EQ(refused(tree.write("huge.h", std::string(source_reader::max_bytes + 1, ' '))), "larger than 64 MiB");
  EXPECT_EQ(refused(tree.path("missing.h")), "No such file or directory");
  EXPECT_EQ(refused(tree.root()), "Is a directory");
}

TEST(SourceReader, NamesTheReasonForAFileItMayNotRead) {
  const scratch_tree tree;
  const std::string closed = tree.write("closed.h", "text");
  tree.close_to_all("closed.h");
  const unprivileged self;
  if (!unprivileged::effective()) GTEST_SKIP() << "root cannot become another user here";
  EXPECT_EQ(source_reader().read(closed).status().message(), "Permission denied");
}

}  // namespace
