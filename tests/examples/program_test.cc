// SPDX-License-Identifier: Apache-2.0
// Claims, of the program as a user runs it: wrong arguments end with status 2 and a sentence; a small tree is indexed
// alike in every memory, with answers anyone can check; what is skipped is named, a screenful at most; a tree that
// cannot be indexed alike ends with status 1; the heap with the index in it is written as strata heapmap reads it.
#include <gtest/gtest.h>

#include <string>

#include "tests/examples/program.h"
#include "tests/examples/scratch_tree.h"

import index_headers;

namespace {

/// Runs the demo.
outcome demo(const std::string& arguments) { return run_program("examples/index_headers/index_headers " + arguments); }

void expect_refusal(const std::string& arguments, const std::string& sentence) {
  const outcome result = demo(arguments);
  EXPECT_EQ(result.status, 2) << arguments;
  EXPECT_EQ(result.text, "index_headers: " + sentence + "\n");
}

TEST(IndexHeaders, RefusesAWrongPath) {
  const scratch_tree tree;
  expect_refusal(tree.path("missing"), tree.path("missing") + ": no such directory");
  const std::string file = tree.write("file.h", "x");
  expect_refusal(file, file + ": not a directory");
  tree.directory("empty");
  expect_refusal(tree.path("empty"), tree.path("empty") + ": no headers in this tree");
  expect_refusal("''", ": no such directory");
}

TEST(IndexHeaders, RefusesArgumentsItDoesNotKnow) {
  expect_refusal("/usr /usr", "one directory, please; --help says more");
  expect_refusal("--memory=new_delete,none", "--memory: there is no \"none\"; --help lists them");
  expect_refusal("--repetitions=0", "--repetitions: at least 1");
}

TEST(IndexHeaders, RefusesATreeOfWhichNothingCanBeRead) {
  const scratch_tree tree;
  tree.write("binary", std::string(10, '\0'));
  const outcome result = demo(tree.root());
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(count(result.text, "skipped " + tree.path("binary") + ": binary\n"), 1U) << result.text;
  EXPECT_EQ(count(result.text, "index_headers: " + tree.root() + ": no header in this tree can be read\n"), 1U)
      << result.text;
}

TEST(IndexHeaders, BuildsTheSameIndexInEveryMemory) {
  const scratch_tree tree;
  for (int file = 100; file < 150; ++file) {
    std::string text = "// zebra\n";
    for (int line = 0; line < 40; ++line)
      text += "int some_function_" + std::to_string(file * line) + "(size_t number);\n";
    tree.write("d/" + std::to_string(file) + ".h", text);
  }
  const outcome result = demo("--repetitions=2 --query=zebra,size_t,absent " + tree.root());
  ASSERT_EQ(result.status, 0) << result.text;
  EXPECT_EQ(count(result.text, "\n50 files, "), 1U) << result.text;
  EXPECT_EQ(count(result.text, " in every memory\n"), 1U) << result.text;
  EXPECT_EQ(count(result.text, "  zebra: 50 lines in 50 files, first " + tree.path("d/100.h:1") + "\n"), 1U)
      << result.text;
  EXPECT_EQ(count(result.text, "  size_t: 2000 lines in 50 files, first " + tree.path("d/100.h:2") + "\n"), 1U)
      << result.text;
  EXPECT_EQ(count(result.text, "  absent: nowhere\n"), 1U) << result.text;
  for (const index_headers::memory& m : index_headers::memories()) {
    EXPECT_EQ(count(result.text, std::string("\n") + m.name + ", round 1 of 2: "), 1U) << m.name << '\n' << result.text;
    EXPECT_EQ(count(result.text, std::string("\n") + m.name + ", round 2 of 2: "), 1U) << m.name << '\n' << result.text;
  }
}

TEST(IndexHeaders, IndexesOnlyWhatWasAskedFor) {
  const scratch_tree tree;
  tree.write("a.h", "first");
  tree.write("b.h", "second");
  const outcome result = demo("--max_files=1 --repetitions=1 --memory=std_pool --query=first,second " + tree.root());
  ASSERT_EQ(result.status, 0) << result.text;
  EXPECT_EQ(count(result.text, "\n1 files, 1 identifiers, 1 places; "), 1U) << result.text;
  EXPECT_EQ(count(result.text, "  second: nowhere\n"), 1U) << result.text;
  EXPECT_EQ(count(result.text, "new_delete"), 0U) << result.text;
}

TEST(IndexHeaders, NamesWhatItSkipsAScreenfulAtMost) {
  const scratch_tree tree;
  tree.write("good.h", "fine");
  for (int file = 10; file < 25; ++file) tree.write("bad" + std::to_string(file) + "\x1b.h", std::string(1, '\0'));
  const outcome result = demo("--repetitions=1 --memory=new_delete " + tree.root());
  ASSERT_EQ(result.status, 0) << result.text;
  EXPECT_EQ(count(result.text, ": binary\n"), 10U) << result.text;
  EXPECT_EQ(count(result.text, "skipped " + tree.path("bad10\\033.h") + ": binary\n"), 1U) << result.text;
  EXPECT_EQ(count(result.text, "skipped 5 more\n"), 1U) << result.text;
}

TEST(IndexHeaders, WritesNoControlCodesIntoALog) {
  const scratch_tree tree;
  tree.write("x.h", "x");
  const outcome result = demo("--repetitions=1 --memory=new_delete " + tree.root());
  ASSERT_EQ(result.status, 0) << result.text;
  EXPECT_EQ(result.text.find_first_of("\r\x1b"), std::string::npos) << result.text;
}

TEST(IndexHeaders, ExplainsItself) {
  const outcome result = demo("--help");
  for (const index_headers::memory& m : index_headers::memories()) {
    EXPECT_EQ(count(result.text, std::string("\n  ") + m.name + " "), 1U) << result.text;
  }
  for (const char* flag : {"--memory (", "--max_files (", "--repetitions (", "--query ("}) {
    EXPECT_EQ(count(result.text, flag), 1U) << result.text;
  }
}

TEST(IndexHeaders, DumpsItsHeapInTheFormOfTheTool) {
  const scratch_tree tree;
  std::string text;
  for (int word = 0; word < 2000; ++word) text += "int a_rather_long_name_" + std::to_string(word) + ";\n";
  tree.directory("d");
  tree.write("d/a.h", text);
  const std::string dump = tree.path("index.dump");
  const outcome result = demo("--memory=std_pool --heap_dump=" + dump + " " + tree.path("d"));
  ASSERT_EQ(result.status, 0) << result.text;
  EXPECT_EQ(count(result.text, "\n" + dump + ": the heap of strata_heap, with the index in it\n"), 1U) << result.text;
  const outcome shown = run_program("tools/strata heapmap " + dump);
  EXPECT_EQ(shown.status, 0) << shown.text;
  EXPECT_EQ(count(shown.text, "heap index: "), 1U) << shown.text;
  EXPECT_EQ(count(shown.text, " used "), 1U) << shown.text;
}

TEST(IndexHeaders, SaysThatItCannotDump) {
  const scratch_tree tree;
  tree.write("a.h", "int i;");
  const outcome result = demo("--memory=std_pool --heap_dump=/none/such " + tree.root());
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(count(result.text, "/none/such: No such file or directory\n"), 1U) << result.text;
}

}  // namespace
