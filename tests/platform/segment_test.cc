// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * a private segment is zeros, shared with children, 0600, and its id is gone at once: nothing is left after SIGKILL
//  * ism is memory in large pages or a refusal; (void*)-1 is a failure
//  * named objects are made once, 0600, opened by name, gone with the name; others keep what they have
//  * an object without a name cannot be resized by anybody once sealed; reserving says what does not fit, and with a
//    full file system nothing is a signal
//  * an object is mapped where it must be or nowhere; nothing is ever replaced
//  * parts of an object are mapped over a reservation, several times, and a range of them becomes a bare reservation in
//    one call, one mapping with what is beside it; 20 000 of them end as one
//  * memory of a part goes back, sealed or not, and every mapping reads zero
//  * a limit on the size of files is an error and no signal
//  * every call may fail, with every errno that applies: the answer says which, and no id, descriptor or mapping leaks
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
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
#include <span>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"
#include "tests/support/huge_pool.h"
#include "tests/support/shared_memory.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::segment_kind;
using strata::test::fail_each;
using strata::test::fault_of_load;
using strata::test::fault_of_store;
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

// --- parts of objects

/// Pages a file really has.
std::size_t pages_of(int descriptor) {
  struct stat known{};
  EXPECT_EQ(::fstat(descriptor, &known), 0);
  return static_cast<std::size_t>(known.st_blocks) * 512 / page();
}

/// A sealed object of some pages, each full of its number, and a reservation.
struct SegmentParts : testing::Test {
  static constexpr std::size_t kPages = 16;

  SegmentParts() {
    const auto made = platform::create_unnamed("strata parts test");
    EXPECT_GE(made.descriptor, 0);
    object = made.descriptor;
    EXPECT_FALSE(platform::resize(object, kPages * page()).failed());
    EXPECT_FALSE(platform::seal_size(object).failed());
    canonical = static_cast<char*>(platform::map_object(object, kPages * page(), page(), 0).base);
    EXPECT_NE(canonical, nullptr);
    for (std::size_t i = 0; i < kPages; ++i) std::memset(canonical + i * page(), number(i), page());
    reservation = static_cast<char*>(platform::reserve(reserved_bytes(), page()).base);
    EXPECT_NE(reservation, nullptr);
  }
  ~SegmentParts() override {
    platform::close_object(object);
    EXPECT_FALSE(platform::unmap(canonical, kPages * page()).failed());
    EXPECT_FALSE(platform::unmap(reservation, reserved_bytes()).failed());
  }

  static int number(std::size_t i) { return static_cast<int>(i + 1); }
  static std::size_t reserved_bytes() { return 4 * kPages * page(); }
  char* at(std::size_t i) const { return reservation + i * page(); }

  int object = -1;
  char* canonical = nullptr;
  char* reservation = nullptr;
};

TEST_F(SegmentParts, AreMappedOverAReservationAndShareTheirBytes) {
  EXPECT_EQ(fault_of_load(at(20)).signal, SIGSEGV);
  for (const std::size_t where : {std::size_t{20}, std::size_t{30}, std::size_t{40}})
    ASSERT_FALSE(platform::map_object_over(object, 4 * page(), 2 * page(), at(where)).failed());
  for (const std::size_t where : {std::size_t{20}, std::size_t{30}, std::size_t{40}}) {
    EXPECT_EQ(at(where)[0], number(4));
    EXPECT_EQ(at(where + 1)[page() - 1], number(5));
    EXPECT_EQ(fault_of_load(at(where) - 1).signal, SIGSEGV) << "the reservation goes on";
    EXPECT_EQ(fault_of_load(at(where + 2)).signal, SIGSEGV);
  }
  bytes_of(at(20))[7] = 99;
  EXPECT_EQ(bytes_of(at(40))[7], 99);
  EXPECT_EQ(bytes_of(canonical)[4 * page() + 7], 99);
  // Over one another.
  ASSERT_FALSE(platform::map_object_over(object, 9 * page(), page(), at(20)).failed());
  EXPECT_EQ(at(20)[0], number(9));
  EXPECT_EQ(at(21)[0], number(5));
}

TEST_F(SegmentParts, ThatFollowEachOtherAreOneMapping) {
  const std::size_t before = platform::mappings_now();
  ASSERT_FALSE(platform::map_object_over(object, 0, 4 * page(), at(8)).failed());
  const std::size_t with_one = platform::mappings_now();
  EXPECT_EQ(with_one, before + 2) << "the reservation is cut in two";
  ASSERT_FALSE(platform::map_object_over(object, 4 * page(), 4 * page(), at(12)).failed());
  EXPECT_EQ(platform::mappings_now(), with_one);
}

TEST_F(SegmentParts, BecomeOneReservationInOneCallWhateverTheRangeHolds) {
  const std::size_t before = platform::mappings_now();
  for (std::size_t i = 1; i < 40; i += 2)
    ASSERT_FALSE(platform::map_object_over(object, i % kPages * page(), page(), at(i)).failed());
  ASSERT_FALSE(platform::commit(at(42), page()).failed());
  bytes_of(at(42))[0] = 1;
  ASSERT_FALSE(platform::protect(at(1), page(), platform::access::read).failed());
  const bool guards = !platform::guard(at(3), page()).failed();
  EXPECT_GT(platform::mappings_now(), before + 40);
  os_script script;
  ASSERT_FALSE(platform::reserve_again(at(0), 50 * page()).failed());
  EXPECT_EQ(script.calls(os_call::mmap), 1U);
  EXPECT_EQ(platform::mappings_now(), before);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(fault_of_load(at(i)).signal, SIGSEGV) << i;
  // It can be used again, guards gone, and the object has kept its bytes.
  ASSERT_FALSE(platform::map_object_over(object, 3 * page(), page(), at(3)).failed());
  EXPECT_EQ(at(3)[0], number(3)) << (guards ? "a guard goes with its mapping" : "");
  ASSERT_FALSE(platform::commit(at(42), page()).failed());
  EXPECT_EQ(bytes_of(at(42))[0], 0);
}

TEST_F(SegmentParts, RetiredOneByOneLeaveNoMappingBehind) {
  constexpr std::size_t kMany = 20'000;
  const auto room = platform::reserve(kMany * page(), page());
  ASSERT_NE(room.base, nullptr);
  const std::size_t before = platform::mappings_now();
  std::size_t most = 0;
  for (std::size_t i = 0; i < kMany; ++i) {
    char* const here = static_cast<char*>(room.base) + i * page();
    ASSERT_FALSE(platform::map_object_over(object, (i * 7) % kPages * page(), page(), here).failed());
    if (i >= 4) ASSERT_FALSE(platform::reserve_again(here - 4 * page(), page()).failed());
    if (i % 5000 == 4999) most = std::max(most, platform::mappings_now());
  }
  EXPECT_LE(most, before + 6) << "as many as are in use, not as have been";
  ASSERT_FALSE(platform::unmap(room.base, kMany * page()).failed());
}

TEST_F(SegmentParts, GiveTheirMemoryBackAndReadZeroEverywhere) {
  ASSERT_FALSE(platform::map_object_over(object, 4 * page(), 4 * page(), at(0)).failed());
  EXPECT_EQ(pages_of(object), kPages);
  ASSERT_FALSE(platform::give_back_part(object, 5 * page(), 2 * page()).failed());
  EXPECT_EQ(pages_of(object), kPages - 2);
  EXPECT_EQ(platform::size_of(object).bytes, kPages * page());
  for (const char* const gone : {at(1), at(2), canonical + 5 * page(), canonical + 6 * page()}) {
    const std::span<const char> bytes(gone, page());
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; }));
  }
  EXPECT_EQ(at(0)[page() - 1], number(4));
  EXPECT_EQ(at(3)[0], number(7));
  bytes_of(at(1))[0] = 77;
  EXPECT_EQ(canonical[5 * page()], 77) << "it is there again when touched";
}

TEST_F(SegmentParts, EveryRefusalIsToldAndChangesNothing) {
  ASSERT_FALSE(platform::map_object_over(object, 0, page(), at(2)).failed());
  os_script script;
  for (const int code : {ENOMEM, EACCES, EAGAIN}) {
    script.fail(os_call::mmap, 1, code);
    const auto refused = platform::map_object_over(object, page(), 2 * page(), at(2));
    EXPECT_STREQ(refused.call, "mmap");
    EXPECT_EQ(refused.code, code);
    script.fail(os_call::mmap, 1, code);
    EXPECT_EQ(platform::reserve_again(at(2), page()).code, code);
    EXPECT_EQ(at(2)[0], number(0));
  }
  for (const int code : {ENOSPC, EPERM, EIO}) {
    script.fail(os_call::fallocate, 1, code);
    const auto refused = platform::give_back_part(object, 0, page());
    EXPECT_STREQ(refused.call, "fallocate");
    EXPECT_EQ(refused.code, code);
  }
  for (const int code : {EOPNOTSUPP, ENOSYS}) {
    script.fail(os_call::fallocate, 1, code);
    EXPECT_EQ(platform::give_back_part(object, 0, page()).code, ENOTSUP);
  }
  EXPECT_EQ(at(2)[0], number(0));
  script.fail(os_call::fallocate, 1, EINTR);
  script.fail(os_call::fallocate, 2, EINTR);
  EXPECT_FALSE(platform::give_back_part(object, 0, page()).failed());
  EXPECT_EQ(at(2)[0], 0);
  EXPECT_TRUE(platform::map_object_over(-1, 0, page(), at(2)).failed());
  EXPECT_EQ(at(2)[0], 0) << "still mapped";
}

TEST(Segment, ALimitOnTheSizeOfFilesIsAnErrorAndNoSignal) {
  EXPECT_EQ(in_child([] {
              const auto made = platform::create_unnamed("strata test");
              const auto large = platform::create_unnamed("strata test");
              if (made.descriptor < 0 || large.descriptor < 0) return 1;
              if (platform::resize(large.descriptor, 8 * page()).failed()) return 2;
              ::signal(SIGXFSZ, SIG_DFL);
              const rlimit four_pages{4 * page(), RLIM_INFINITY};
              if (::setrlimit(RLIMIT_FSIZE, &four_pages) != 0) return 3;
              if (platform::resize(made.descriptor, 5 * page()).code != EFBIG) return 4;
              if (platform::reserve_memory(made.descriptor, 5 * page()).code != EFBIG) return 5;
              if (platform::size_of(made.descriptor).bytes != 0) return 6;
              if (platform::resize(made.descriptor, 4 * page()).failed()) return 7;
              if (platform::reserve_memory(made.descriptor, 4 * page()).failed()) return 8;
              // What is as large already may be given memory, and may shrink.
              if (platform::reserve_memory(large.descriptor, 8 * page()).failed()) return 9;
              if (platform::resize(large.descriptor, 6 * page()).failed()) return 10;
              return 0;
            }),
            0);
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
