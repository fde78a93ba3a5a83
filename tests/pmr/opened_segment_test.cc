// SPDX-License-Identifier: Apache-2.0
// Claims: another program finds a named block at the same address with the same contents, pointers included, and writes
// into it; what cannot be opened is an exception in a sentence with the name and the errno; opening leaves nothing behind;
// a name that a killed maker left can be removed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "tests/os_script/os_script.h"
#include "tests/support/shared_memory.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::object_exists;
using test::object_of_this_process;
using test::open_descriptors;
using test::os_call;
using test::os_script;

constexpr const char* kAsked = "STRATA_TEST_OPEN_SEGMENT";  // environment of the other program: what it shall open
constexpr int kSeen = 42;
constexpr int kAddressTaken = 43;

struct node {
  node* next;
  char text[32];
};

/// What the other program does: follow the pointers, and answer.
int read_and_answer(const char* object) {
  try {
    const opened_segment opened(object);
    auto* const first = static_cast<node*>(opened.data());
    if (opened.bytes() != 2 * sizeof(node) || std::strcmp(first->text, "first") != 0) return 1;
    if (first->next != first + 1 || std::strcmp(first->next->text, "second") != 0) return 2;
    std::strcpy(first->next->text, "seen");
    return kSeen;
  } catch (const std::system_error& error) {
    return error.code() == std::errc::file_exists ? kAddressTaken : 3;
  }
}

// In the other program this is all that runs; here it has nothing to do.
TEST(OpenedSegmentOtherProgram, ReadsAndAnswers) {
  if (const char* object = std::getenv(kAsked); object != nullptr) std::_Exit(read_and_answer(object));
}

/// Starts this very program anew, with addresses of its own, to open `object`.
int ask_another_program(const std::string& object) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv(kAsked, object.c_str(), 1);
    ::execl("/proc/self/exe", "other", "--gtest_filter=OpenedSegmentOtherProgram.*", nullptr);
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(OpenedSegment, AnotherProgramFollowsPointersAndAnswers) {
  const std::string name = object_of_this_process("programs");
  segment_resource memory({.kind = segment_kind::named, .object = name.c_str()});
  // The address is free over there unless the OS happened to put something of that program's own there; then the next
  // segment lies elsewhere.
  int answer = kAddressTaken;
  for (int attempt = 0; attempt < 8 && answer == kAddressTaken; ++attempt) {
    const std::size_t alignment = std::size_t{1} << (12 + 2 * attempt);
    void* const block = memory.allocate(2 * sizeof(node), alignment);
    auto* const first = ::new (block) node[2];
    first[0] = {.next = first + 1, .text = "first"};
    first[1] = {.next = nullptr, .text = "second"};
    answer = ask_another_program(name);
    if (answer == kSeen) EXPECT_STREQ(first[1].text, "seen");
    memory.deallocate(block, 2 * sizeof(node), alignment);
  }
  EXPECT_EQ(answer, kSeen);
}

std::string message_of(const char* object, int code) {
  try {
    const opened_segment opened(object);
    ADD_FAILURE() << object << " was opened";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::error_code(code, std::generic_category())) << error.what();
    return error.what();
  }
  return {};
}

TEST(OpenedSegment, SaysInASentenceWithTheNameWhyNot) {
  const std::string name = object_of_this_process("why");
  const std::size_t descriptors = open_descriptors();
  const auto says = [&name](int code, const char* why) {
    const std::string message = message_of(name.c_str(), code);
    EXPECT_NE(message.find("segment " + name + ' ' + why), message.npos) << message;
  };
  says(ENOENT, "is not there");
  {
    segment_resource memory({.kind = segment_kind::named, .object = name.c_str()});
    void* const p = memory.allocate(1);
    says(EEXIST, "cannot have its address here");
    for (const int code : {EACCES, EMFILE}) {
      os_script script;
      script.fail(os_call::shm_open, 1, code);
      says(code, code == EACCES ? "is not allowed to this process" : "cannot be opened");
    }
    for (const os_call call : {os_call::fstat, os_call::mmap}) {
      os_script script;
      script.fail(call, 1, ENOMEM);
      says(ENOMEM, "cannot be opened");
      EXPECT_EQ(script.mapped_bytes(), 0U);
    }
    memory.deallocate(p, 1);
  }
  const int strange = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(strange, 0);
  EXPECT_EQ(::ftruncate(strange, 1 << 20), 0);
  says(EINVAL, "was not made by segment_resource");
  ::close(strange);
  EXPECT_TRUE(remove_segment(name.c_str()));
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(OpenedSegment, RefusesNamesThatAreNone) {
  for (const char* bad : {"", "x", "/a/b"}) {
    EXPECT_THROW(const opened_segment opened(bad), std::invalid_argument);
    EXPECT_THROW(remove_segment(bad), std::invalid_argument);
  }
}

TEST(OpenedSegment, ANameLeftByAKilledMakerIsRemoved) {
  const std::string name = object_of_this_process("left");
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t maker = ::fork();
  ASSERT_GE(maker, 0);
  if (maker == 0) {
    segment_resource memory({.kind = segment_kind::named, .object = name.c_str()});
    std::strcpy(static_cast<char*>(memory.allocate(100)), "legacy");
    static_cast<void>(::write(ready[1], "r", 1));
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(::kill(maker, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(maker, &status, 0), maker);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_TRUE(object_exists(name));
  try {
    const opened_segment opened(name.c_str());
    EXPECT_STREQ(static_cast<const char*>(opened.data()), "legacy");
    EXPECT_TRUE(remove_segment(name.c_str()));
    EXPECT_STREQ(static_cast<const char*>(opened.data()), "legacy") << "who has it keeps it";
  } catch (const std::system_error& taken) {
    // The maker chose the address after the fork; a sanitizer's runtime may have put something there in this process.
    ASSERT_EQ(taken.code(), std::errc::file_exists) << taken.what();
    EXPECT_TRUE(remove_segment(name.c_str()));
  }
  EXPECT_FALSE(object_exists(name));
  EXPECT_FALSE(remove_segment(name.c_str()));
  os_script script;
  script.fail(os_call::shm_unlink, 1, EACCES);
  try {
    remove_segment(name.c_str());
    ADD_FAILURE();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::permission_denied);
    EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace strata::pmr
