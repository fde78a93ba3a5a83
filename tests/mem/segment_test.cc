// SPDX-License-Identifier: Apache-2.0
// Claims: names are what any system takes; sizes round as each kind needs, and what wraps is refused; what the machine
// has not is refused before anything is asked of the OS; an object is found again by name with what its header says, at
// its address or not at all, and what is none, or of another version, is not opened; ism is large pages or locked; every
// step may be refused, with every errno that applies, and leaves no name, id, descriptor, mapping or lock.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "tests/os_script/os_script.h"
#include "tests/support/shared_memory.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::fail_each;
using test::in_child;
using test::object_exists;
using test::object_of_this_process;
using test::open_descriptors;
using test::os_call;
using test::os_script;
using test::segments_made_by;

constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();

segment_header* header_of(const segment& made) {
  return at<segment_header>(made.payload, -static_cast<std::ptrdiff_t>(page_bytes()));
}

void give(segment_kind kind, const segment& made) {
  EXPECT_FALSE(give_segment(kind, made.payload, made.bytes, made.locked).failed());
  if (made.descriptor >= 0) close_segment(made.descriptor);
}

TEST(Segment, TakesNamesThatEverySystemTakes) {
  for (const char* good : {"/a", "/strata", "/a.b-c_1", "/...", "/ab~"}) EXPECT_TRUE(is_segment_name(good)) << good;
  for (const char* bad : {"", "/", "a", "//", "/a/b", "/.", "/..", "/a b", "/a\n", "/\xC3\xA4", "a/"})
    EXPECT_FALSE(is_segment_name(bad)) << bad;
  EXPECT_TRUE(is_segment_name("/" + std::string(240, 'x')));
  EXPECT_FALSE(is_segment_name("/" + std::string(241, 'x')));
  EXPECT_FALSE(is_segment_name(std::string("/a\0b", 4)));
}

TEST(Segment, RoundsSizesAsEachKindNeedsAndRefusesWhatWraps) {
  const std::size_t page = page_bytes();
  for (const segment_kind kind : {segment_kind::dism, segment_kind::pageable}) {
    EXPECT_EQ(segment_bytes_for({.kind = kind, .bytes = 0}), page);
    EXPECT_EQ(segment_bytes_for({.kind = kind, .bytes = page}), page);
    EXPECT_EQ(segment_bytes_for({.kind = kind, .bytes = page + 1}), 2 * page);
  }
  for (const segment_kind kind : {segment_kind::named, segment_kind::sealed}) {
    EXPECT_EQ(segment_bytes_for({.kind = kind, .bytes = 0}), 2 * page);
    EXPECT_EQ(segment_bytes_for({.kind = kind, .bytes = page}), 2 * page);
  }
  const std::size_t large = std::max(large_page_size(), page);
  EXPECT_EQ(segment_bytes_for({.kind = segment_kind::ism, .bytes = 1}), large);
  for (const segment_kind kind : {segment_kind::ism, segment_kind::dism, segment_kind::named, segment_kind::sealed}) {
    for (const std::size_t bytes : {kMost, kMost - page, kMost / 2 + 1}) {
      const os_script script;
      EXPECT_EQ(segment_bytes_for({.kind = kind, .bytes = bytes}), 0U);
      EXPECT_EQ(make_segment({.kind = kind, .bytes = bytes, .name = "/strata-wraps"}).refusal,
                segment_refusal::too_large);
      EXPECT_EQ(script.calls(os_call::mmap) + script.calls(os_call::shmget) + script.calls(os_call::shm_open), 0U);
    }
  }
  EXPECT_EQ(make_segment({.bytes = 1, .alignment = 2 * max_run_alignment}).refusal, segment_refusal::too_large);
}

TEST(Segment, AsksTheMachineBeforeItTakesAnything) {
  const std::string name = object_of_this_process("machine");
  for (const segment_kind kind :
       {segment_kind::dism, segment_kind::pageable, segment_kind::named, segment_kind::sealed}) {
    const os_script script;
    const segment refused = make_segment({.kind = kind, .bytes = std::size_t{1} << 45U, .name = name.c_str()});
    EXPECT_EQ(refused.payload, nullptr);
    EXPECT_EQ(refused.refusal, segment_refusal::machine);
    EXPECT_GT(refused.free, 0U);
    EXPECT_LT(refused.free, std::size_t{1} << 45U);
    for (const os_call call : {os_call::shmget, os_call::shm_open, os_call::memfd_create})
      EXPECT_EQ(script.calls(call), 0U);
  }
}

TEST(Segment, AnObjectsHeaderSaysWhereItIs) {
  const std::string name = object_of_this_process("header");
  const segment made = make_segment(
      {.kind = segment_kind::named, .bytes = 100'000, .alignment = std::size_t{1} << 20U, .name = name.c_str()});
  ASSERT_NE(made.payload, nullptr) << made.error.call << ' ' << made.error.code;
  EXPECT_TRUE(is_aligned(made.payload, std::size_t{1} << 20U));
  EXPECT_EQ(made.descriptor, -1);
  const segment_header& header = *header_of(made);
  EXPECT_EQ(std::memcmp(&header, "strtseg1", 8), 0);
  EXPECT_EQ(header.version, 1U);
  EXPECT_EQ(header.header_bytes, page_bytes());
  EXPECT_EQ(header.bytes, made.bytes);
  EXPECT_EQ(header.payload_bytes, 100'000U);
  EXPECT_EQ(header.address, address(&header));

  // The place is taken, by the segment itself.
  const segment taken = open_segment(name.c_str());
  EXPECT_EQ(taken.payload, nullptr);
  EXPECT_EQ(taken.refusal, segment_refusal::os);
  EXPECT_EQ(taken.error.code, EEXIST);

  std::memcpy(made.payload, "across", 7);
  give(segment_kind::named, made);
  const segment opened = open_segment(name.c_str());
  EXPECT_EQ(opened.payload, made.payload);
  EXPECT_EQ(opened.bytes, made.bytes);
  EXPECT_EQ(opened.payload_bytes, 100'000U);
  if (opened.payload != nullptr) {
    EXPECT_STREQ(static_cast<const char*>(opened.payload), "across");
    give(segment_kind::named, opened);
  }
  EXPECT_FALSE(remove_segment(name.c_str()).failed());
  EXPECT_EQ(remove_segment(name.c_str()).code, ENOENT);
  EXPECT_EQ(open_segment(name.c_str()).error.code, ENOENT);
}

TEST(Segment, OpensNothingThatIsNoFinishedSegmentOfThisVersion) {
  const std::string name = object_of_this_process("strange");
  const auto opens_after = [&](auto&& spoil) {
    const segment made = make_segment({.kind = segment_kind::named, .bytes = 1, .name = name.c_str()});
    EXPECT_NE(made.payload, nullptr);
    spoil(*header_of(made));
    give(segment_kind::named, made);
    const std::size_t descriptors = open_descriptors();
    const os_script script;
    const segment opened = open_segment(name.c_str());
    if (opened.payload != nullptr) give(segment_kind::named, opened);
    EXPECT_EQ(script.mapped_bytes(), 0U);
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_FALSE(remove_segment(name.c_str()).failed());
    return opened.refusal;
  };
  EXPECT_EQ(opens_after([](segment_header&) {}), segment_refusal::none);
  EXPECT_EQ(opens_after([](segment_header& h) { h.mark = 0; }), segment_refusal::no_segment);
  EXPECT_EQ(opens_after([](segment_header& h) { h.version = 2; }), segment_refusal::other_version);
  EXPECT_EQ(opens_after([](segment_header& h) { h.header_bytes = 64; }), segment_refusal::other_version);
  EXPECT_EQ(opens_after([](segment_header& h) { h.bytes += page_bytes(); }), segment_refusal::no_segment);
  EXPECT_EQ(opens_after([](segment_header& h) { h.payload_bytes = h.bytes; }), segment_refusal::no_segment);
  EXPECT_EQ(opens_after([](segment_header& h) { h.address = 0; }), segment_refusal::no_segment);
  EXPECT_EQ(opens_after([](segment_header& h) { h.address += 8; }), segment_refusal::no_segment);

  const int empty = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(empty, 0);
  EXPECT_EQ(open_segment(name.c_str()).refusal, segment_refusal::no_segment) << "nothing in it";
  EXPECT_EQ(::ftruncate(empty, 100), 0);
  EXPECT_EQ(open_segment(name.c_str()).refusal, segment_refusal::no_segment) << "less than a header";
  ::close(empty);
  EXPECT_FALSE(remove_segment(name.c_str()).failed());
}

TEST(Segment, IsmIsInLargePagesOrLocked) {
  const std::size_t before = lock_ledger::of_process().bytes();
  const segment made = make_segment({.kind = segment_kind::ism, .bytes = 1});
  if (made.payload == nullptr) {
    EXPECT_EQ(lock_ledger::of_process().bytes(), before);
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
    GTEST_SKIP() << "neither large pages nor locks are to be had here: " << made.error.call << ' ' << made.error.code;
  }
  EXPECT_EQ(made.locked, made.error.failed());
  EXPECT_EQ(lock_ledger::of_process().bytes() - before, made.locked ? made.bytes : 0);
  give(segment_kind::ism, made);
  EXPECT_EQ(lock_ledger::of_process().bytes(), before);
}

TEST(Segment, IsmThatCanHaveNeitherIsRefused) {
  const std::size_t before = lock_ledger::of_process().bytes();
  for (const int code : {EPERM, ENOMEM, EAGAIN}) {
    os_script script;
    script.fail(os_call::shmget, 1, ENOMEM);  // the pool is empty
    script.fail(os_call::mlock, 1, code);
    const segment refused = make_segment({.kind = segment_kind::ism, .bytes = 1});
    EXPECT_EQ(refused.payload, nullptr);
    EXPECT_EQ(refused.refusal, segment_refusal::os);
    EXPECT_STREQ(refused.error.call, "mlock");
    EXPECT_EQ(refused.error.code, code);
    EXPECT_EQ(lock_ledger::of_process().bytes(), before);
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
  }
}

TEST(Segment, EveryRefusalOnTheWayLeavesNothing) {
  const std::string name = object_of_this_process("refused");
  const std::size_t descriptors = open_descriptors();
  const std::size_t locked = lock_ledger::of_process().bytes();
  for (const segment_kind kind :
       {segment_kind::ism, segment_kind::dism, segment_kind::pageable, segment_kind::named, segment_kind::sealed}) {
    unsigned met = 0;
    for (const os_call call :
         {os_call::shmget, os_call::shmat, os_call::mmap, os_call::mlock, os_call::madvise, os_call::shm_open,
          os_call::memfd_create, os_call::ftruncate, os_call::posix_fallocate, os_call::fcntl, os_call::fstatvfs}) {
      met += fail_each(call, {EINVAL, ENOSPC, ENOMEM, EPERM, EMFILE, EACCES}, [&](os_script& script) {
        const segment made = make_segment({.kind = kind, .bytes = 1, .name = name.c_str()});
        EXPECT_EQ(made.payload == nullptr, made.refusal != segment_refusal::none);
        if (made.payload != nullptr) {
          // What can be done without: large pages, the look at the room, the newest flag of memfd_create, madvise where
          // the kernel has another way.
          give(kind, made);
          if (kind == segment_kind::named) EXPECT_FALSE(remove_segment(name.c_str()).failed());
        } else if (script.failed(call) != 0 && made.refusal == segment_refusal::os) {
          EXPECT_TRUE(made.error.failed());
        }
        EXPECT_EQ(script.mapped_bytes(), 0U);
        EXPECT_EQ(segments_made_by(::getpid()), 0U);
        EXPECT_FALSE(object_exists(name));
      });
    }
    EXPECT_GT(met, 12U) << static_cast<int>(kind);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(lock_ledger::of_process().bytes(), locked);
}

TEST(Segment, AFullFileSystemSaysHowMuchIsFree) {
  const std::string name = object_of_this_process("full");
  os_script script;
  script.fail(os_call::posix_fallocate, 1, ENOSPC);
  const segment refused = make_segment({.kind = segment_kind::named, .bytes = 1, .name = name.c_str()});
  EXPECT_EQ(refused.refusal, segment_refusal::file_system);
  EXPECT_EQ(refused.error.code, ENOSPC);
  EXPECT_GT(refused.free, 0U);
  EXPECT_FALSE(object_exists(name));
}

TEST(Segment, SealedOnesKeepTheirSizeAndAreReachedByDescriptor) {
  const segment made = make_segment({.kind = segment_kind::sealed, .bytes = 10});
  ASSERT_NE(made.payload, nullptr);
  ASSERT_GE(made.descriptor, 0);
  EXPECT_EQ(::ftruncate(made.descriptor, 0), -1);
  EXPECT_EQ(errno, EPERM);
  std::memcpy(made.payload, "sealed", 7);
  char seen[7] = {};
  EXPECT_EQ(::pread(made.descriptor, seen, sizeof seen, static_cast<off_t>(page_bytes())), 7);
  EXPECT_STREQ(seen, "sealed");
  give(segment_kind::sealed, made);
}

}  // namespace
}  // namespace strata::mem
