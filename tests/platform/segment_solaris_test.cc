// SPDX-License-Identifier: Apache-2.0
// Claims, on Solaris:
//  * private segments of each kind come zeroed, aligned as asked, and leave no id; ism is locked without privilege but
//    counts against the resource control, and is in large pages; dism is neither
//  * limits are refused with the errno the system has for them, and no id, attachment or memory is left, whatever call
//    fails
//  * objects: named, unnamed (a name for a moment), reserved page by page where the file system has no call for it,
//    mapped where they must be or nowhere; there are no seals
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "tests/fakes/solaris/machine.h"
#include "tests/platform/page_checks.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::segment_kind;
using strata::fake_solaris::attached_segments;
using strata::fake_solaris::fresh_machine;
using strata::fake_solaris::locked_bytes;
using strata::fake_solaris::mapped_regions;
using strata::fake_solaris::shared_memory_ids;
using strata::test::aligned;
using strata::test::all_zero;
using strata::test::bytes_of;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kLarge = 2 * kMiB;
constexpr segment_kind kAll[] = {segment_kind::ism, segment_kind::dism, segment_kind::pageable};

std::size_t page() { return platform::page_size(); }

struct SegmentSolaris : testing::Test {
  fresh_machine machine;
  std::uint64_t regions_before = mapped_regions();
  ~SegmentSolaris() override { expect_nothing_left(); }
  void expect_nothing_left() const {
    EXPECT_EQ(shared_memory_ids(), 0U);
    EXPECT_EQ(attached_segments(), 0U);
    EXPECT_EQ(locked_bytes(), 0U);
    EXPECT_EQ(mapped_regions(), regions_before);
  }
};

TEST_F(SegmentSolaris, EachKindIsZeroAlignedAndGoneWithItsDetach) {
  for (const segment_kind kind : kAll) {
    for (std::size_t alignment = page(); alignment <= 1024 * kMiB; alignment *= 4) {
      const auto got = platform::attach_private(3 * page(), kind, page(), alignment);
      ASSERT_NE(got.base, nullptr) << alignment << ' ' << got.error.call << ' ' << got.error.code;
      EXPECT_TRUE(aligned(got.base, alignment)) << alignment;
      EXPECT_TRUE(all_zero(got.base, 3 * page()));
      std::memset(got.base, 1, 3 * page());
      EXPECT_EQ(attached_segments(), 1U);
      EXPECT_FALSE(platform::detach(got.base).failed());
      expect_nothing_left();
    }
  }
  EXPECT_EQ(platform::stray_segments(), 0U);
}

TEST_F(SegmentSolaris, IsmIsLockedAndLargeWithoutPrivilege) {
  const auto got = platform::attach_private(kLarge, segment_kind::ism, page(), page());
  ASSERT_NE(got.base, nullptr);
  EXPECT_EQ(locked_bytes(), kLarge);
  platform::backing seen;
  EXPECT_FALSE(platform::backing_of(got.base, kLarge, seen).failed());
  EXPECT_EQ(seen.large, kLarge) << "all of it is there from the first attach";
  EXPECT_EQ(platform::advise_large(got.base, kLarge).code, EINVAL);
  EXPECT_FALSE(platform::protect(got.base, kLarge, platform::access::read).failed());
  bytes_of(got.base)[0] = 1;  // the protection of the segment, whatever was answered
  EXPECT_TRUE(platform::unmap(got.base, page()).failed()) << "not in parts";
  EXPECT_FALSE(platform::detach(got.base).failed());
}

TEST_F(SegmentSolaris, IsmCountsAgainstTheResourceControl) {
  machine->max_locked = kLarge;
  const auto got = platform::attach_private(kLarge + page(), segment_kind::ism, page(), page());
  EXPECT_EQ(got.base, nullptr);
  EXPECT_STREQ(got.error.call, "shmat");
  EXPECT_EQ(got.error.code, ENOMEM);
  expect_nothing_left();
  const auto pageable = platform::attach_private(kLarge + page(), segment_kind::dism, page(), page());
  ASSERT_NE(pageable.base, nullptr);
  EXPECT_EQ(locked_bytes(), 0U);
  EXPECT_FALSE(platform::detach(pageable.base).failed());
}

TEST_F(SegmentSolaris, DismMayBeLockedInPieces) {
  machine->may_lock = true;
  const auto got = platform::attach_private(2 * kLarge, segment_kind::dism, page(), page());
  ASSERT_NE(got.base, nullptr);
  char* const piece = static_cast<char*>(got.base) + kLarge;
  EXPECT_FALSE(platform::lock(piece, kLarge, platform::lock_time::now).failed());
  EXPECT_EQ(locked_bytes(), kLarge);
  EXPECT_TRUE(platform::unmap(piece, kLarge).failed()) << "locking it in pieces does not cut it";
  EXPECT_FALSE(platform::detach(got.base).failed());
}

TEST_F(SegmentSolaris, LimitsAreRefusedByTheSystemsErrno) {
  machine->max_shm_memory = 4 * page();
  EXPECT_EQ(platform::attach_private(5 * page(), segment_kind::pageable, page(), page()).error.code, EINVAL);
  machine->max_shm_memory = strata::fake_solaris::no_limit;
  machine->max_shm_ids = 0;
  EXPECT_EQ(platform::attach_private(page(), segment_kind::pageable, page(), page()).error.code, ENOSPC);
  machine->max_shm_ids = 8;
  machine->swap = 0;
  EXPECT_EQ(platform::attach_private(page(), segment_kind::pageable, page(), page()).error.code, ENOMEM);
  EXPECT_EQ(platform::attach_private(0, segment_kind::pageable, page(), page()).error.code, EINVAL);
}

TEST_F(SegmentSolaris, EveryRefusalLeavesNothing) {
  for (const segment_kind kind : kAll) {
    for (const std::size_t alignment : {page(), 1024 * kMiB}) {
      for (const char* call : {"shmget", "shmat", "mmap", "munmap"}) {
        for (const int code : {EINVAL, ENOSPC, ENOMEM, EPERM, EMFILE, EACCES}) {
          for (unsigned nth = 1; nth <= 2; ++nth) {
            fresh_machine again;
            again.fail(call, nth, code);
            const auto got = platform::attach_private(page(), kind, page(), alignment);
            if (got.base == nullptr) {
              EXPECT_STREQ(got.error.call, call);
              EXPECT_EQ(got.error.code, code);
            } else {
              EXPECT_TRUE(aligned(got.base, alignment));
              EXPECT_FALSE(platform::detach(got.base).failed());
            }
            EXPECT_EQ(shared_memory_ids(), 0U) << call << nth;
            EXPECT_EQ(attached_segments(), 0U) << call << nth;
            EXPECT_EQ(mapped_regions(), regions_before) << call << nth;
          }
        }
      }
    }
  }
}

TEST_F(SegmentSolaris, AnIdThatCannotBeRemovedIsCounted) {
  // In a child, whose counts and ids are its own.
  const pid_t child = ::fork();
  if (child == 0) {
    machine.fail("shmctl", 1, EPERM);
    const auto got = platform::attach_private(page(), segment_kind::pageable, page(), page());
    const bool told = got.base == nullptr && got.error.code == EPERM && std::strcmp(got.error.call, "shmctl") == 0;
    ::_exit(told && platform::stray_segments() == 1 && shared_memory_ids() == 1 && attached_segments() == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SegmentSolaris, RefusedDetachLeavesItAttached) {
  const auto got = platform::attach_private(page(), segment_kind::pageable, page(), page());
  ASSERT_NE(got.base, nullptr);
  machine.fail("shmdt", 1, EINVAL);
  EXPECT_EQ(platform::detach(got.base).code, EINVAL);
  bytes_of(got.base)[0] = 1;
  EXPECT_FALSE(platform::detach(got.base).failed());
}

// --- objects

TEST_F(SegmentSolaris, ObjectsKeepContentsWhenMemoryIsReserved) {
  for (const bool allocates : {true, false}) {
    machine->tmpfs_allocates = allocates;
    const auto made = platform::create_unnamed("ignored");
    ASSERT_GE(made.descriptor, 0) << made.error.call << ' ' << made.error.code;
    ASSERT_FALSE(platform::resize(made.descriptor, 4 * page()).failed());
    const auto mapped = platform::map_object(made.descriptor, 4 * page(), page(), 0);
    ASSERT_NE(mapped.base, nullptr);
    bytes_of(mapped.base)[page()] = 5;
    ASSERT_FALSE(platform::reserve_memory(made.descriptor, 4 * page()).failed());
    EXPECT_EQ(bytes_of(mapped.base)[page()], 5);
    EXPECT_EQ(platform::size_of(made.descriptor).bytes, 4 * page());
    EXPECT_EQ(platform::seal_size(made.descriptor).code, ENOSYS);
    EXPECT_FALSE(platform::unmap(mapped.base, 4 * page()).failed());
    platform::close_object(made.descriptor);
  }
}

TEST_F(SegmentSolaris, ReservingWhatIsRefusedIsAnError) {
  const auto made = platform::create_unnamed("ignored");
  ASSERT_GE(made.descriptor, 0);
  for (const int code : {ENOSPC, EFBIG, EIO}) {
    machine.fail("posix_fallocate", 1, code);
    EXPECT_EQ(platform::reserve_memory(made.descriptor, page()).code, code);
  }
  machine.fail("posix_fallocate", 1, EINTR);
  EXPECT_FALSE(platform::reserve_memory(made.descriptor, page()).failed()) << "interrupted calls are repeated";
  EXPECT_EQ(platform::reserve_memory(-1, page()).code, EBADF);
  EXPECT_EQ(platform::reserve_memory(made.descriptor, std::numeric_limits<std::size_t>::max()).code, EFBIG);
  platform::close_object(made.descriptor);
}

TEST_F(SegmentSolaris, UnnamedObjectsLeaveNoName) {
  machine.fail("shm_open", 1, EEXIST);  // someone's left-over
  machine.fail("shm_open", 2, EINTR);
  const auto made = platform::create_unnamed("ignored");
  EXPECT_GE(made.descriptor, 0);
  platform::close_object(made.descriptor);
  machine.fail("shm_open", 1, EMFILE);
  EXPECT_EQ(platform::create_unnamed("ignored").error.code, EMFILE);
  // Nobody else's: tests in sandboxes have the same numbers of processes.
  const std::string name = "/strata-test-" + std::to_string(::getpid()) + "-" + std::to_string(std::random_device{}());
  const auto named = platform::create_named(name.c_str());
  ASSERT_GE(named.descriptor, 0);
  EXPECT_EQ(platform::create_named(name.c_str()).error.code, EEXIST);
  const auto again = platform::open_named(name.c_str());
  EXPECT_GE(again.descriptor, 0);
  EXPECT_FALSE(platform::unlink_named(name.c_str()).failed());
  EXPECT_EQ(platform::open_named(name.c_str()).error.code, ENOENT);
  platform::close_object(named.descriptor);
  platform::close_object(again.descriptor);
}

TEST_F(SegmentSolaris, ObjectsAreMappedWhereTheyMustBeOrNowhere) {
  const auto made = platform::create_unnamed("ignored");
  ASSERT_GE(made.descriptor, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, 4 * page()).failed());
  const auto place = platform::reserve(4 * page(), page());
  ASSERT_NE(place.base, nullptr);
  const auto taken = platform::map_object_at(made.descriptor, 4 * page(), place.base);
  EXPECT_EQ(taken.base, nullptr);
  EXPECT_EQ(taken.error.code, EEXIST);
  ASSERT_FALSE(platform::unmap(place.base, 4 * page()).failed());
  const auto there = platform::map_object_at(made.descriptor, 4 * page(), place.base);
  ASSERT_EQ(there.base, place.base);
  EXPECT_FALSE(platform::unmap(there.base, 4 * page()).failed());
  for (const std::size_t skew : {std::size_t{0}, page()}) {
    for (std::size_t alignment = page(); alignment <= 1024 * kMiB; alignment *= 4) {
      const auto got = platform::map_object(made.descriptor, 3 * page(), alignment, skew);
      ASSERT_NE(got.base, nullptr) << alignment;
      EXPECT_EQ((reinterpret_cast<std::uintptr_t>(got.base) + skew) % alignment, 0U);
      std::memset(got.base, 1, 3 * page());
      EXPECT_FALSE(platform::unmap(got.base, 3 * page()).failed());
    }
  }
  for (const char* call : {"mmap", "munmap"}) {
    for (unsigned nth = 1; nth <= 2; ++nth) {
      machine.fail(call, nth, ENOMEM);
      const auto got = platform::map_object(made.descriptor, page(), kMiB, page());
      EXPECT_EQ(got.base == nullptr, got.error.failed());
      if (got.base != nullptr && platform::unmap(got.base, page()).failed())
        EXPECT_FALSE(platform::unmap(got.base, page()).failed()) << "the failure waited for this call";
      EXPECT_EQ(mapped_regions(), regions_before) << call << nth;
    }
  }
  platform::close_object(made.descriptor);
}

}  // namespace
