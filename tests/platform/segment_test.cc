// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * a private segment is zeros, shared with children, 0600, and its id is gone at once: nothing is left after SIGKILL
//  * ism is memory in large pages or a refusal; (void*)-1 is a failure
//  * named objects are made once, 0600, opened by name, gone with the name; others keep what they have
//  * an object without a name cannot be resized by anybody once sealed; reserving says what does not fit, and with a
//    full file system nothing is a signal
//  * an object is mapped where it must be or nowhere; nothing is ever replaced
//  * every call may fail, with every errno that applies: the answer says which, and no id, descriptor or mapping leaks
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/support/huge_pool.h"
#include "tests/support/shared_memory.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::segment_kind;
using strata::test::fail_each;
using strata::test::huge_pool;
using strata::test::in_child;
using strata::test::object_of_this_process;
using strata::test::open_descriptors;
using strata::test::os_call;
using strata::test::os_script;
using strata::test::segments_made_by;

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::size_t page() { return platform::page_size(); }

volatile char* bytes_of(void* base) { return static_cast<volatile char*>(base); }

TEST(Segment, PrivateOnesAreZerosAndLeaveNoId) {
  for (const segment_kind kind : {segment_kind::dism, segment_kind::pageable}) {
    const auto got = platform::attach_private(4 * page(), kind, page(), page());
    ASSERT_NE(got.base, nullptr) << got.error.call << ' ' << got.error.code;
    const auto* const zeros = static_cast<const char*>(got.base);
    EXPECT_TRUE(std::all_of(zeros, zeros + 4 * page(), [](char c) { return c == 0; }));
    // On Linux an id that was removed shows as long as somebody is attached, as one that will be destroyed.
    EXPECT_EQ(segments_made_by(::getpid()), 1U);
    EXPECT_FALSE(platform::detach(got.base).failed());
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
  }
  EXPECT_EQ(platform::stray_segments(), 0U);
}

TEST(Segment, NothingIsLeftOfAPrivateOneAfterSigkill) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto got = platform::attach_private(kMiB, segment_kind::pageable, page(), page());
    const char answer = got.base != nullptr ? 'y' : 'n';
    if (got.base != nullptr) bytes_of(got.base)[0] = 1;
    static_cast<void>(::write(ready[1], &answer, 1));
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_EQ(segments_made_by(child), 1U);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(segments_made_by(child), 0U);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(Segment, ParentAndChildShareAPrivateOneAndTheChildsDetachTakesNothing) {
  const auto got = platform::attach_private(page(), segment_kind::pageable, page(), page());
  ASSERT_NE(got.base, nullptr);
  EXPECT_EQ(in_child([&] {
              bytes_of(got.base)[0] = 42;
              return platform::detach(got.base).failed() ? 1 : 0;
            }),
            0);
  EXPECT_EQ(bytes_of(got.base)[0], 42);
  EXPECT_FALSE(platform::detach(got.base).failed());
}

TEST(Segment, IsmComesInLargePagesOrNotAtAll) {
  const huge_pool pool(2);
  const auto got = platform::attach_private(huge_pool::page, segment_kind::ism, huge_pool::page, huge_pool::page);
  if (got.base == nullptr) {
    EXPECT_STREQ(got.error.call, "shmget");
    EXPECT_TRUE(got.error.code == ENOMEM || got.error.code == EPERM || got.error.code == EINVAL) << got.error.code;
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
    GTEST_SKIP() << "no pool of large pages, and none could be made: only the refusal was seen";
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got.base) % huge_pool::page, 0U);
  bytes_of(got.base)[huge_pool::page - 1] = 1;
  platform::backing seen;
  EXPECT_FALSE(platform::backing_of(got.base, huge_pool::page, seen).failed());
  EXPECT_EQ(seen.large, huge_pool::page);
  EXPECT_FALSE(platform::detach(got.base).failed());
}

TEST(Segment, AlignsPrivateOnesAndObjectsAsAskedUpToAGibibyte) {
  const auto made = platform::create_unnamed("strata test");
  ASSERT_GE(made.descriptor, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, 3 * page()).failed());
  for (std::size_t alignment = page(); alignment <= 1024 * kMiB; alignment *= 2) {
    const auto segment = platform::attach_private(3 * page(), segment_kind::pageable, page(), alignment);
    ASSERT_NE(segment.base, nullptr) << alignment;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(segment.base) % alignment, 0U);
    std::memset(segment.base, 1, 3 * page());
    EXPECT_FALSE(platform::detach(segment.base).failed());
    for (const std::size_t skew : {std::size_t{0}, page()}) {
      os_script script;
      const auto object = platform::map_object(made.descriptor, 3 * page(), alignment, skew);
      ASSERT_NE(object.base, nullptr) << alignment;
      EXPECT_EQ((reinterpret_cast<std::uintptr_t>(object.base) + skew) % alignment, 0U);
      std::memset(object.base, 1, 3 * page());
      EXPECT_FALSE(platform::unmap(object.base, 3 * page()).failed());
      EXPECT_EQ(script.mapped_bytes(), 0U);
    }
  }
  platform::close_object(made.descriptor);
  EXPECT_EQ(segments_made_by(::getpid()), 0U);
}

TEST(Segment, EveryRefusalOnTheWayToAnAlignedOneLeavesNothing) {
  const auto made = platform::create_unnamed("strata test");
  ASSERT_GE(made.descriptor, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, page()).failed());
  for (const os_call call : {os_call::mmap, os_call::munmap, os_call::shmget, os_call::shmat}) {
    const unsigned met = fail_each(call, {ENOMEM, EINVAL}, [&](os_script& script) {
      const auto got = platform::attach_private(page(), segment_kind::pageable, page(), kMiB);
      EXPECT_EQ(got.base == nullptr, got.error.failed());
      if (got.base == nullptr) EXPECT_EQ(script.mapped_bytes(), 0U);
      if (got.base != nullptr) EXPECT_FALSE(platform::detach(got.base).failed());
      EXPECT_EQ(segments_made_by(::getpid()), 0U);
    });
    EXPECT_GT(met, 0U) << static_cast<int>(call);
  }
  for (const os_call call : {os_call::mmap, os_call::munmap}) {
    const unsigned met = fail_each(call, {ENOMEM, EINVAL}, [&](os_script& script) {
      const auto got = platform::map_object(made.descriptor, page(), kMiB, page());
      EXPECT_EQ(got.base == nullptr, got.error.failed());
      if (got.base != nullptr && platform::unmap(got.base, page()).failed())
        EXPECT_FALSE(platform::unmap(got.base, page()).failed()) << "the failure waited for this call";
      EXPECT_EQ(script.mapped_bytes(), 0U);
    });
    EXPECT_GT(met, 0U) << static_cast<int>(call);
  }
  platform::close_object(made.descriptor);
}

TEST(Segment, RefusesWhatTheSystemCannotHold) {
  const auto got = platform::attach_private(std::numeric_limits<std::size_t>::max() / 2 / page() * page(),
                                            segment_kind::pageable, page(), page());
  EXPECT_EQ(got.base, nullptr);
  EXPECT_STREQ(got.error.call, "shmget");
  EXPECT_EQ(platform::attach_private(0, segment_kind::pageable, page(), page()).error.code, EINVAL);
}

TEST(Segment, EveryRefusalOnTheWayToAPrivateOneLeavesNoIdAndNoMemory) {
  for (const os_call call : {os_call::shmget, os_call::shmat}) {
    const unsigned met = fail_each(call, {EINVAL, ENOSPC, ENOMEM, EPERM, EMFILE, EACCES}, [&](os_script& script) {
      const auto got = platform::attach_private(page(), segment_kind::pageable, page(), page());
      if (script.failed(call) == 0) {
        EXPECT_FALSE(platform::detach(got.base).failed());
      } else {
        EXPECT_EQ(got.base, nullptr) << "(void*)-1 is no memory";
        EXPECT_STREQ(got.error.call, call == os_call::shmget ? "shmget" : "shmat");
      }
      EXPECT_EQ(segments_made_by(::getpid()), 0U);
    });
    EXPECT_EQ(met, 6U);
  }
  EXPECT_EQ(platform::stray_segments(), 0U);
}

TEST(Segment, AnIdThatCannotBeRemovedIsCounted) {
  // In a child, whose count is its own; the parent removes what is left.
  EXPECT_EQ(in_child([] {
              os_script script;
              script.fail(os_call::shmctl, 1, EPERM);
              const auto got = platform::attach_private(page(), segment_kind::pageable, page(), page());
              if (got.base != nullptr || got.error.code != EPERM || std::strcmp(got.error.call, "shmctl") != 0)
                return 1;
              if (platform::stray_segments() != 1 || segments_made_by(::getpid()) != 1) return 2;
              std::ifstream file("/proc/sysvipc/shm");
              std::string line;
              std::getline(file, line);
              while (std::getline(file, line)) {
                int id = 0;
                int maker = 0;
                if (std::sscanf(line.c_str(), "%*d %d %*o %*u %d", &id, &maker) == 2 && maker == ::getpid())
                  ::shmctl(id, IPC_RMID, nullptr);
              }
              return segments_made_by(::getpid()) == 0 ? 0 : 3;
            }),
            0);
}

TEST(Segment, RefusedDetachLeavesItAttached) {
  const auto got = platform::attach_private(page(), segment_kind::pageable, page(), page());
  ASSERT_NE(got.base, nullptr);
  os_script script;
  script.fail(os_call::shmdt, 1, EINVAL);
  EXPECT_EQ(platform::detach(got.base).code, EINVAL);
  bytes_of(got.base)[0] = 1;
  EXPECT_FALSE(platform::detach(got.base).failed());
}

// --- objects

TEST(Segment, NamedObjectsAreMadeOnceOpenedByNameAndTheOwners) {
  const std::string name = object_of_this_process("once");
  const auto made = platform::create_named(name.c_str());
  ASSERT_GE(made.descriptor, 0) << made.error.code;
  EXPECT_EQ(platform::create_named(name.c_str()).error.code, EEXIST);
  struct stat known{};
  ASSERT_EQ(::fstat(made.descriptor, &known), 0);
  EXPECT_EQ(known.st_mode & 0777U, 0600U);
  EXPECT_NE(::fcntl(made.descriptor, F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, 2 * page()).failed());
  ASSERT_FALSE(platform::reserve_memory(made.descriptor, 2 * page()).failed());
  EXPECT_EQ(platform::size_of(made.descriptor).bytes, 2 * page());

  const auto again = platform::open_named(name.c_str());
  ASSERT_GE(again.descriptor, 0);
  const auto one = platform::map_object(made.descriptor, 2 * page(), page(), 0);
  const auto other = platform::map_object(again.descriptor, 2 * page(), page(), 0);
  ASSERT_NE(one.base, nullptr);
  ASSERT_NE(other.base, nullptr);
  EXPECT_NE(one.base, other.base);
  bytes_of(one.base)[page()] = 7;
  EXPECT_EQ(bytes_of(other.base)[page()], 7);

  EXPECT_FALSE(platform::unlink_named(name.c_str()).failed());
  EXPECT_EQ(platform::unlink_named(name.c_str()).code, ENOENT);
  EXPECT_EQ(platform::open_named(name.c_str()).error.code, ENOENT);
  EXPECT_EQ(bytes_of(other.base)[page()], 7) << "who has it keeps it";
  EXPECT_FALSE(platform::unmap(one.base, 2 * page()).failed());
  EXPECT_FALSE(platform::unmap(other.base, 2 * page()).failed());
  platform::close_object(made.descriptor);
  platform::close_object(again.descriptor);
}

TEST(Segment, SealedObjectsKeepTheirSizeForEver) {
  const auto made = platform::create_unnamed("strata test");
  ASSERT_GE(made.descriptor, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, 2 * page()).failed());
  ASSERT_FALSE(platform::reserve_memory(made.descriptor, 2 * page()).failed());
  ASSERT_FALSE(platform::seal_size(made.descriptor).failed());
  EXPECT_EQ(platform::resize(made.descriptor, page()).code, EPERM);
  EXPECT_EQ(platform::resize(made.descriptor, 3 * page()).code, EPERM);
  EXPECT_EQ(platform::seal_size(made.descriptor).code, EPERM) << "not even the seals change";
  EXPECT_EQ(platform::size_of(made.descriptor).bytes, 2 * page());
  platform::close_object(made.descriptor);
}

TEST(Segment, ObjectsWithoutANameAreMadeOnKernelsThatDoNotKnowNoexec) {
  os_script script;
  script.fail(os_call::memfd_create, 1, EINVAL);
  const auto made = platform::create_unnamed("strata test");
  EXPECT_GE(made.descriptor, 0);
  EXPECT_EQ(script.calls(os_call::memfd_create), 2U);
  platform::close_object(made.descriptor);
}

TEST(Segment, ObjectsAreMappedWhereTheyMustBeOrNowhere) {
  const auto made = platform::create_unnamed("strata test");
  ASSERT_GE(made.descriptor, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, 4 * page()).failed());
  const auto place = platform::reserve(4 * page(), page());
  ASSERT_NE(place.base, nullptr);
  {
    os_script script;
    const auto taken = platform::map_object_at(made.descriptor, 4 * page(), place.base);
    EXPECT_EQ(taken.base, nullptr);
    EXPECT_STREQ(taken.error.call, "mmap");
    EXPECT_EQ(taken.error.code, EEXIST);
    EXPECT_EQ(script.mapped_bytes(), 0U);
  }
  ASSERT_FALSE(platform::unmap(place.base, 4 * page()).failed());
  const auto there = platform::map_object_at(made.descriptor, 4 * page(), place.base);
  EXPECT_EQ(there.base, place.base);
  if (there.base != nullptr) EXPECT_FALSE(platform::unmap(there.base, 4 * page()).failed());
  platform::close_object(made.descriptor);
}

TEST(Segment, InterruptedCallsAreRepeated) {
  const std::string name = object_of_this_process("eintr");
  os_script script;
  for (const os_call call :
       {os_call::shm_open, os_call::memfd_create, os_call::ftruncate, os_call::posix_fallocate, os_call::fstatvfs}) {
    script.fail(call, 1, EINTR);
    script.fail(call, 2, EINTR);
  }
  const auto made = platform::create_named(name.c_str());
  ASSERT_GE(made.descriptor, 0);
  EXPECT_FALSE(platform::resize(made.descriptor, page()).failed());
  EXPECT_FALSE(platform::reserve_memory(made.descriptor, page()).failed());
  EXPECT_GT(platform::room_of(made.descriptor), 0U);
  script.fail(os_call::shm_open, 1, EINTR);
  const auto again = platform::open_named(name.c_str());
  EXPECT_GE(again.descriptor, 0);
  const auto unnamed = platform::create_unnamed("strata test");
  EXPECT_GE(unnamed.descriptor, 0);
  for (const os_call call : {os_call::memfd_create, os_call::ftruncate, os_call::posix_fallocate, os_call::fstatvfs})
    EXPECT_EQ(script.failed(call), 2U);
  EXPECT_EQ(script.failed(os_call::shm_open), 3U);
  EXPECT_FALSE(platform::unlink_named(name.c_str()).failed());
  for (const auto& o : {made, again, unnamed}) platform::close_object(o.descriptor);
}

TEST(Segment, ReportsWhatEachCallOnAnObjectRefuses) {
  const std::size_t before = open_descriptors();
  const std::string name = object_of_this_process("refused");
  for (const int code : {EMFILE, ENFILE, ENOMEM, ENOSPC, EACCES, EPERM}) {
    os_script script;
    script.fail(os_call::shm_open, 1, code);
    script.fail(os_call::shm_open, 2, code);
    EXPECT_EQ(platform::create_named(name.c_str()).error.code, code);
    EXPECT_EQ(platform::open_named(name.c_str()).error.code, code);
    script.fail(os_call::shm_unlink, 1, code);
    EXPECT_EQ(platform::unlink_named(name.c_str()).code, code);
    script.fail(os_call::memfd_create, 1, code);
    const auto refused = platform::create_unnamed("strata test");
    EXPECT_EQ(refused.descriptor, -1);
    EXPECT_STREQ(refused.error.call, "memfd_create");
    EXPECT_EQ(refused.error.code, code);
  }
  const auto made = platform::create_unnamed("strata test");
  ASSERT_GE(made.descriptor, 0);
  for (const int code : {ENOMEM, ENOSPC, EFBIG, EPERM}) {
    os_script script;
    script.fail(os_call::ftruncate, 1, code);
    EXPECT_EQ(platform::resize(made.descriptor, page()).code, code);
    script.fail(os_call::posix_fallocate, 1, code);
    const auto refused = platform::reserve_memory(made.descriptor, page());
    EXPECT_STREQ(refused.call, "posix_fallocate");
    EXPECT_EQ(refused.code, code);
    script.fail(os_call::fcntl, 1, code);
    EXPECT_EQ(platform::seal_size(made.descriptor).code, code);
    script.fail(os_call::fstat, 1, code);
    EXPECT_EQ(platform::size_of(made.descriptor).error.code, code);
    script.fail(os_call::mmap, 1, code);
    EXPECT_EQ(platform::map_object(made.descriptor, page(), page(), 0).error.code, code);
    script.fail(os_call::fstatvfs, 1, code);
    EXPECT_EQ(platform::room_of(made.descriptor), std::numeric_limits<std::size_t>::max());
    EXPECT_EQ(script.mapped_bytes(), 0U);
  }
  EXPECT_EQ(platform::resize(made.descriptor, std::numeric_limits<std::size_t>::max()).code, EFBIG);
  EXPECT_EQ(platform::reserve_memory(made.descriptor, std::numeric_limits<std::size_t>::max()).code, EFBIG);
  EXPECT_EQ(platform::room_of(made.descriptor), std::numeric_limits<std::size_t>::max());
  platform::close_object(made.descriptor);
  EXPECT_EQ(open_descriptors(), before);
}

// A file system for shared memory of 1 MiB, in a child with mounts of its own.
TEST(Segment, AFullFileSystemIsAnErrorAndNoSignal) {
  constexpr int kNoMounts = 77;
  const int answer = in_child([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0)
      return kNoMounts;
    const auto made = platform::create_named("/full");
    if (made.descriptor < 0) return 1;
    if (platform::room_of(made.descriptor) != kMiB) return 2;
    if (platform::resize(made.descriptor, 4 * kMiB).failed()) return 3;
    const auto refused = platform::reserve_memory(made.descriptor, 4 * kMiB);
    if (refused.code != ENOSPC || std::strcmp(refused.call, "posix_fallocate") != 0) return 4;
    if (platform::resize(made.descriptor, 0).failed()) return 5;
    if (platform::room_of(made.descriptor) != kMiB) return 6;
    return 0;
  });
  if (answer == kNoMounts) GTEST_SKIP() << "this process may not mount a file system of its own (needs CAP_SYS_ADMIN)";
  EXPECT_EQ(answer, 0);
}

}  // namespace
