// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: blocks are zeroed segments of the kind asked, read back from the OS; ism that is not in large
// pages is locked and degraded, or an exception; names are made, listed, used again and taken away; every refusal is an
// allocation_error in a sentence with the name, the errno and what is free, and leaves nothing; a full file system is no
// signal and leaves no blocks used; what the OS will not take back is kept, counted, and given back later; children of a
// fork share the memory and take nothing away from the parent; nothing is left after SIGKILL; pointers that are no live
// block, and blocks alive at destruction, are misuse.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/huge_pool.h"
#include "tests/support/shared_memory.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using test::huge_pool;
using test::in_child;
using test::object_exists;
using test::object_of_this_process;
using test::open_descriptors;
using test::os_call;
using test::os_script;
using test::segments_made_by;

constexpr std::size_t kMiB = std::size_t{1} << 20U;
constexpr segment_kind kPrivate[] = {segment_kind::dism, segment_kind::pageable};
constexpr segment_kind kAll[] = {segment_kind::ism, segment_kind::dism, segment_kind::pageable, segment_kind::named,
                                 segment_kind::sealed};
const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

/// What the kernel calls the mapping a block lies in: the last word of its line in /proc/self/maps.
std::string mapping_of(const void* block) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    const auto at = reinterpret_cast<unsigned long>(block);
    if (begin <= at && at < end) return line.substr(std::min(line.size(), std::size_t{73}));
  }
  return "not mapped";
}

std::string message_of(const segments& options, std::size_t bytes, int* code = nullptr) {
  segment_resource memory(options);
  try {
    memory.deallocate(memory.allocate(bytes), bytes);
  } catch (const allocation_error& error) {
    if (code != nullptr) *code = error.os_code();
    EXPECT_EQ(memory.stats().failures, 1U);
    EXPECT_EQ(memory.stats().upstream, 0U);
    return error.what();
  }
  return "served";
}

TEST(SegmentResource, GivesZeroedSegmentsOfTheKindAsked) {
  const std::string name = object_of_this_process("kinds");
  for (const segment_kind kind : kAll) {
    segment_resource memory({.kind = kind, .name = "kinds", .object = name.c_str()});
    unsigned char* p = nullptr;
    try {
      p = static_cast<unsigned char*>(memory.allocate(3 * page));
    } catch (const allocation_error& error) {
      EXPECT_EQ(kind, segment_kind::ism) << error.what();
      continue;
    }
    EXPECT_TRUE(std::all_of(p, p + 3 * page, [](unsigned char c) { return c == 0; }));
    const std::string mapped = mapping_of(p);
    if (kind == segment_kind::named) {
      EXPECT_NE(mapped.find("/dev/shm" + name), mapped.npos) << mapped;
    } else if (kind == segment_kind::sealed) {
      EXPECT_NE(mapped.find("/memfd:kinds"), mapped.npos) << mapped;
    } else {
      EXPECT_NE(mapped.find("/SYSV00000000 (deleted)"), mapped.npos) << mapped;
    }
    const bool own = kind != segment_kind::named && kind != segment_kind::sealed;
    EXPECT_EQ(segments_made_by(::getpid()), own ? 1U : 0U);
    const statistics s = memory.stats();
    EXPECT_EQ(s.live, 3 * page);
    EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
    if (!own) EXPECT_EQ(s.overhead, page) << "the header";
    memory.deallocate(p, 3 * page);
    EXPECT_EQ(memory.stats().upstream, 0U);
    EXPECT_EQ(mapping_of(p), "not mapped");
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
  }
}

TEST(SegmentResource, TakesMemoryAtOnceUnlessToldNotTo) {
  for (const bool reserve : {true, false}) {
    segment_resource segments_of_own({.kind = segment_kind::pageable, .reserve = reserve});
    void* const p = segments_of_own.allocate(64 * page);
    std::array<unsigned char, 64> resident{};
    ASSERT_EQ(::mincore(p, 64 * page, resident.data()), 0);
    EXPECT_EQ(std::count_if(resident.begin(), resident.end(), [](unsigned char c) { return (c & 1U) != 0; }),
              reserve ? 64 : 0);
    segments_of_own.deallocate(p, 64 * page);

    segment_resource objects({.kind = segment_kind::sealed, .reserve = reserve});
    void* const q = objects.allocate(64 * page);
    struct stat known{};
    ASSERT_EQ(::fstat(objects.descriptor(q), &known), 0);
    // Blocks of 512 bytes. The header is there in any case.
    EXPECT_EQ(static_cast<std::size_t>(known.st_blocks) * 512, (reserve ? 65 : 1) * page);
    objects.deallocate(q, 64 * page);
  }
}

TEST(SegmentResource, IsmIsInLargePagesWhereThePoolHasSome) {
  const huge_pool pool(2);
  if (huge_pool::free_pages() == 0) GTEST_SKIP() << "no pool of large pages here, and none could be made";
  segment_resource memory({.kind = segment_kind::ism});
  auto* const p = static_cast<char*>(memory.allocate(1));
  p[0] = 1;
  EXPECT_EQ(memory.degraded({}), 0U);
  EXPECT_EQ(memory.stats().upstream, huge_pool::page);
  EXPECT_EQ(mem::lock_ledger::of_process().bytes(), 0U);
  memory.deallocate(p, 1);
}

TEST(SegmentResource, IsmWithoutLargePagesIsLockedAndSaysSo) {
  segment_resource memory({.kind = segment_kind::ism, .name = "i"});
  os_script script;
  script.fail(os_call::shmget, 1, ENOMEM);
  void* p = nullptr;
  try {
    p = memory.allocate(page);
  } catch (const allocation_error& error) {
    EXPECT_STREQ(error.os_call(), "mlock");
    GTEST_SKIP() << "this process may not lock 2 MiB: " << error.what();
  }
  EXPECT_EQ(mem::lock_ledger::of_process().bytes(), memory.stats().upstream);
  std::array<degradation, 4> states{};
  ASSERT_EQ(memory.degraded(states), 1U);
  EXPECT_NE(std::string(states[0].reason).find("locked in RAM instead"), std::string::npos);
  EXPECT_STREQ(states[0].cause.call, "shmget");
  EXPECT_EQ(states[0].cause.code, ENOMEM);
  memory.deallocate(p, page);
  EXPECT_EQ(mem::lock_ledger::of_process().bytes(), 0U);
}

TEST(SegmentResource, IsmThatIsNeitherIsAnException) {
  os_script script;
  script.fail(os_call::shmget, 1, EPERM);
  script.fail(os_call::mlock, 1, ENOMEM);
  int code = 0;
  const std::string message = message_of({.kind = segment_kind::ism, .name = "i"}, 1, &code);
  EXPECT_NE(message.find("mlock: ENOMEM"), message.npos) << message;
  EXPECT_EQ(code, ENOMEM);
  EXPECT_EQ(segments_made_by(::getpid()), 0U);
}

// --- names

TEST(SegmentResource, NamesBlocksByTheLowestNumberFreeAndTakesTheNamesAway) {
  const std::string name = object_of_this_process("names");
  segment_resource memory({.kind = segment_kind::named, .object = name.c_str()});
  const auto name_of = [&memory](const void* p) {
    std::array<char, 256> text{};
    const std::size_t length = memory.object_name(p, text);
    return std::string(text.data(), length);
  };
  void* const a = memory.allocate(1);
  void* const b = memory.allocate(1);
  void* const c = memory.allocate(1);
  EXPECT_EQ(name_of(a), name);
  EXPECT_EQ(name_of(b), name + ".1");
  EXPECT_EQ(name_of(c), name + ".2");
  for (const void* p : {a, b, c}) EXPECT_TRUE(object_exists(name_of(p)));
  EXPECT_EQ(name_of(&memory), "");
  memory.deallocate(b, 1);
  EXPECT_FALSE(object_exists(name + ".1"));
  void* const again = memory.allocate(1);
  EXPECT_EQ(name_of(again), name + ".1");
  for (void* p : {a, again, c}) memory.deallocate(p, 1);
  for (const char* suffix : {"", ".1", ".2"}) EXPECT_FALSE(object_exists(name + suffix));
}

TEST(SegmentResource, RefusesNamesThatAreNone) {
  for (const char* bad : {"", "x", "/", "/a/b", "/.."}) {
    try {
      const segment_resource memory({.kind = segment_kind::named, .name = "n", .object = bad});
      ADD_FAILURE() << bad;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("object is \"" + std::string(bad) + "\"; it has to be /"),
                std::string::npos)
          << error.what();
    }
  }
}

TEST(SegmentResource, SaysInASentenceWithTheNameWhatIsWrongWithIt) {
  const std::string name = object_of_this_process("taken");
  const segments options{.kind = segment_kind::named, .name = "n", .object = name.c_str()};
  segment_resource first(options);
  void* const p = first.allocate(1);
  int code = 0;
  EXPECT_EQ(message_of(options, 1, &code), "strata: n cannot allocate 1 bytes aligned to 16: there is an object " +
                                               name + " already; remove it, or take another name (shm_open: EEXIST)");
  EXPECT_EQ(code, EEXIST);
  EXPECT_TRUE(object_exists(name)) << "it is another's";
  first.deallocate(p, 1);
  for (const int refused : {EACCES, EMFILE}) {
    os_script script;
    script.fail(os_call::shm_open, 1, refused);
    const std::string message = message_of(options, 1, &code);
    EXPECT_NE(message.find(name), message.npos) << message;
    EXPECT_EQ(code, refused);
  }
}

TEST(SegmentResource, HasNamesFor256BlocksAtATime) {
  const std::string name = object_of_this_process("many");
  segment_resource memory({.kind = segment_kind::named, .name = "n", .object = name.c_str()});
  std::vector<void*> blocks;
  for (std::size_t i = 0; i != segment_resource::max_named; ++i) blocks.push_back(memory.allocate(1));
  EXPECT_TRUE(object_exists(name + ".255"));
  try {
    (void)memory.allocate(1);
    ADD_FAILURE();
  } catch (const allocation_error& error) {
    EXPECT_NE(std::string(error.what()).find("256 named blocks are alive"), std::string::npos) << error.what();
  }
  for (void* p : blocks) memory.deallocate(p, 1);
  EXPECT_FALSE(object_exists(name));
}

TEST(SegmentResource, SealedBlocksAreReachedByDescriptorAndNobodyChangesTheirSize) {
  const std::size_t before = open_descriptors();
  {
    segment_resource memory({.kind = segment_kind::sealed});
    auto* const p = static_cast<char*>(memory.allocate(page));
    const int fd = memory.descriptor(p);
    ASSERT_GE(fd, 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(::ftruncate(fd, 0), -1);
    std::strcpy(p, "seen");
    auto* const seen = static_cast<char*>(::mmap(nullptr, 2 * page, PROT_READ, MAP_SHARED, fd, 0));
    ASSERT_NE(static_cast<void*>(seen), MAP_FAILED);
    EXPECT_STREQ(seen + page, "seen");
    ::munmap(seen, 2 * page);
    EXPECT_EQ(memory.descriptor(&memory), -1);
    memory.deallocate(p, page);
  }
  EXPECT_EQ(open_descriptors(), before);
  segment_resource other({.kind = segment_kind::pageable});
  void* const p = other.allocate(1);
  EXPECT_EQ(other.descriptor(p), -1);
  other.deallocate(p, 1);
}

// --- refusals

TEST(SegmentResource, SaysHowMuchIsFreeWhenTheMachineHasNotEnough) {
  for (const segment_kind kind : kAll) {
    const std::string message =
        message_of({.kind = kind, .name = "s", .object = "/strata-machine"}, std::size_t{1} << 45U);
    EXPECT_NE(message.find(" bytes are free for this process"), message.npos) << message;
    EXPECT_EQ(message.find(" 0 bytes"), message.npos) << message;
  }
}

TEST(SegmentResource, EveryRefusalIsAnErrorWithItsCauseAndLeavesNothing) {
  const std::string name = object_of_this_process("errors");
  const std::size_t descriptors = open_descriptors();
  for (const segment_kind kind : kAll) {
    segment_resource memory({.kind = kind, .name = "s", .object = name.c_str()});
    // Tables of the resource are there; what is refused is the segment.
    try {
      memory.deallocate(memory.allocate(1), 1);
    } catch (const allocation_error&) {
      EXPECT_EQ(kind, segment_kind::ism) << "which not every process may have";
    }
    const std::size_t failures = memory.stats().failures;
    std::size_t refusals = 0;
    for (const os_call call :
         {os_call::shmget, os_call::shmat, os_call::mmap, os_call::mlock, os_call::madvise, os_call::shm_open,
          os_call::memfd_create, os_call::ftruncate, os_call::posix_fallocate, os_call::fcntl}) {
      for (const int code : {ENOMEM, ENOSPC, EPERM, EMFILE}) {
        os_script script;
        script.fail_always(call, code);
        try {
          memory.deallocate(memory.allocate(page), page);
        } catch (const allocation_error& error) {
          EXPECT_GT(script.failed(call), 0U) << error.what();
          EXPECT_EQ(error.os_code(), code) << error.what();
          ++refusals;
        }
        EXPECT_EQ(script.mapped_bytes(), 0U);
        EXPECT_EQ(memory.stats().upstream, 0U);
        EXPECT_EQ(segments_made_by(::getpid()), 0U);
        EXPECT_FALSE(object_exists(name));
      }
    }
    EXPECT_GT(refusals, 8U) << static_cast<int>(kind);
    EXPECT_EQ(memory.stats().failures, failures + refusals);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(mem::lock_ledger::of_process().bytes(), 0U);
}

TEST(SegmentResource, ABlockThatCannotBeNotedIsGivenBack) {
  const std::string name = object_of_this_process("noted");
  for (const segment_kind kind : {segment_kind::pageable, segment_kind::named, segment_kind::sealed}) {
    const std::size_t descriptors = open_descriptors();
    {
      segment_resource memory({.kind = kind, .object = name.c_str()});
      os_script script;
      // Objects are mapped once; the tables come after.
      script.fail(os_call::mmap, mem::is_object(kind) ? 2 : 1, ENOMEM);
      EXPECT_THROW((void)memory.allocate(1), allocation_error);
      EXPECT_EQ(script.failed(os_call::mmap), 1U);
      EXPECT_EQ(script.mapped_bytes(), 0U);
      EXPECT_EQ(segments_made_by(::getpid()), 0U);
      EXPECT_FALSE(object_exists(name));
      memory.deallocate(memory.allocate(1), 1);
    }
    EXPECT_EQ(open_descriptors(), descriptors);
  }
}

// W0-13: a file system for shared memory of 1 MiB, in a child with mounts of its own.
TEST(SegmentResource, AFullFileSystemIsAnExceptionAndNoSignalAndLeavesNoBlocksUsed) {
  constexpr int kNoMounts = 77;
  const int answer = in_child([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0)
      return kNoMounts;
    segment_resource memory({.kind = segment_kind::named, .name = "n", .object = "/full"});
    try {
      (void)memory.allocate(4 * kMiB);
      return 1;
    } catch (const allocation_error& error) {
      if (error.os_code() != ENOSPC) return 2;
      if (std::strstr(error.what(), " 1048576 bytes are free where shared memory lives") == nullptr) return 3;
    }
    struct statvfs used{};
    if (::statvfs("/dev/shm", &used) != 0 || used.f_bfree != used.f_blocks) return 4;
    auto* const p = static_cast<char*>(memory.allocate(kMiB / 2));
    std::memset(p, 1, kMiB / 2);
    try {
      (void)memory.allocate(kMiB);
      return 5;
    } catch (const std::bad_alloc&) {
    }
    memory.deallocate(p, kMiB / 2);
    return ::statvfs("/dev/shm", &used) == 0 && used.f_bfree == used.f_blocks ? 0 : 6;
  });
  if (answer == kNoMounts) GTEST_SKIP() << "this process may not mount a file system of its own (needs CAP_SYS_ADMIN)";
  EXPECT_EQ(answer, 0);
}

TEST(SegmentResource, KeepsAndReportsWhatTheOsWillNotTakeBack) {
  for (const segment_kind kind : {segment_kind::pageable, segment_kind::sealed}) {
    segment_resource memory({.kind = kind, .name = "s"});
    void* const a = memory.allocate(2 * page);
    void* const b = memory.allocate(page);
    const std::size_t whole = memory.stats().upstream;
    {
      os_script script;
      script.fail_always(kind == segment_kind::pageable ? os_call::shmdt : os_call::munmap, EINVAL);
      memory.deallocate(a, 2 * page);
      memory.deallocate(b, page);
      const statistics s = memory.stats();
      EXPECT_EQ(s.live, 0U);
      EXPECT_EQ(s.kept, whole);
      EXPECT_EQ(s.upstream, s.live + s.kept + s.overhead);
      std::array<degradation, 4> states{};
      ASSERT_EQ(memory.degraded(states), 1U);
      EXPECT_NE(std::string(states[0].reason).find("refused to take segments back"), std::string::npos);
      EXPECT_EQ(states[0].cause.code, EINVAL);
      EXPECT_EQ(states[0].times, 2U);
      EXPECT_EQ(memory.trim(), 0U);
    }
    EXPECT_EQ(memory.trim(), whole);
    EXPECT_EQ(memory.trim(), 0U);
    EXPECT_EQ(memory.stats().upstream, 0U);
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
  }
}

TEST(SegmentResource, ANameThatStaysIsReported) {
  const std::string name = object_of_this_process("stays");
  segment_resource memory({.kind = segment_kind::named, .object = name.c_str()});
  void* const p = memory.allocate(1);
  {
    os_script script;
    script.fail_always(os_call::shm_unlink, EACCES);
    memory.deallocate(p, 1);
  }
  std::array<degradation, 4> states{};
  ASSERT_EQ(memory.degraded(states), 1U);
  EXPECT_NE(std::string(states[0].reason).find("refused to remove names"), std::string::npos);
  EXPECT_TRUE(object_exists(name));
  EXPECT_EQ(::shm_unlink(name.c_str()), 0);
  void* const q = memory.allocate(1);
  EXPECT_EQ(::shm_unlink(name.c_str()), 0);
  memory.deallocate(q, 1);  // a name that is gone already is no trouble
  EXPECT_EQ(memory.degraded({}), 1U);
}

// --- processes

TEST(SegmentResource, AChildSharesTheMemoryAndTakesNothingAway) {
  const std::string name = object_of_this_process("fork");
  for (const segment_kind kind :
       {segment_kind::dism, segment_kind::pageable, segment_kind::named, segment_kind::sealed}) {
    segment_resource memory({.kind = kind, .object = name.c_str()});
    auto* const p = static_cast<char*>(memory.allocate(page));
    auto* const q = static_cast<char*>(memory.allocate(page));
    EXPECT_EQ(in_child([&] {
                std::strcpy(p, "from the child");
                memory.deallocate(p, page);
                memory.deallocate(q, page);
                const bool empty = memory.stats().upstream == 0;
                memory.~segment_resource();  // as it would at exit
                return empty ? 0 : 1;
              }),
              0);
    EXPECT_STREQ(p, "from the child");
    q[page - 1] = 1;
    if (kind == segment_kind::named) EXPECT_TRUE(object_exists(name) && object_exists(name + ".1"));
    if (kind == segment_kind::sealed) EXPECT_GE(::fcntl(memory.descriptor(p), F_GETFD), 0);
    memory.deallocate(p, page);
    memory.deallocate(q, page);
    EXPECT_FALSE(object_exists(name));
  }
}

TEST(SegmentResource, AChildsOwnBlocksAreItsOwn) {
  const std::string name = object_of_this_process("own");
  segment_resource memory({.kind = segment_kind::named, .object = name.c_str()});
  void* const p = memory.allocate(1);
  EXPECT_EQ(in_child([&] {
              void* const q = memory.allocate(1);
              const bool made = object_exists(name + ".1");
              memory.deallocate(q, 1);
              return made && !object_exists(name + ".1") && object_exists(name) ? 0 : 1;
            }),
            0);
  memory.deallocate(p, 1);
}

TEST(SegmentResource, AChildKilledWhileItAllocatesLeavesNoPrivateSegment) {
  for (const segment_kind kind : kPrivate) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      segment_resource memory({.kind = kind});
      for (int i = 0; i < 8; ++i) std::memset(memory.allocate(kMiB), 1, kMiB);
      static_cast<void>(::write(ready[1], "r", 1));
      for (;;) ::pause();
    }
    char answer = 0;
    ASSERT_EQ(::read(ready[0], &answer, 1), 1);
    EXPECT_EQ(segments_made_by(child), 8U);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(segments_made_by(child), 0U);
    ::close(ready[0]);
    ::close(ready[1]);
  }
}

// Each thread hands half of its blocks to the next one, which frees them.
TEST(SegmentResource, ThreadsAllocateTogetherAndFreeEachOthersBlocks) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kRounds = 25;
  const std::string name = object_of_this_process("threads");
  for (const segment_kind kind : {segment_kind::pageable, segment_kind::named, segment_kind::sealed}) {
    segment_resource memory({.kind = kind, .object = name.c_str()});
    std::array<std::array<char*, kRounds>, kThreads> handed{};
    const auto at_once = [&](auto&& work) {
      std::vector<std::thread> threads;
      for (std::size_t t = 0; t < kThreads; ++t) threads.emplace_back(work, t);
      for (std::thread& t : threads) t.join();
    };
    at_once([&](std::size_t t) {
      for (char*& p : handed[t]) {
        p = static_cast<char*>(memory.allocate(100));
        std::memset(p, static_cast<int>(t), 100);
        memory.deallocate(memory.allocate(100), 100);
      }
    });
    at_once([&](std::size_t t) {
      const std::size_t giver = (t + 1) % kThreads;
      for (char* const p : handed[giver]) {
        EXPECT_TRUE(std::all_of(p, p + 100, [giver](char c) { return c == static_cast<char>(giver); }));
        memory.deallocate(p, 100);
      }
    });
    EXPECT_EQ(memory.stats().allocations, 2 * kThreads * kRounds);
    EXPECT_EQ(memory.stats().upstream, 0U);
    EXPECT_EQ(segments_made_by(::getpid()), 0U);
  }
}

TEST(SegmentResource, CarriesAKeeper) {
  stack memory{segments{}, slabs{}};
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(memory.allocate(100));
  for (void* p : blocks) memory.deallocate(p, 100);
  EXPECT_FALSE(memory.check().found());
}

TEST(SegmentResource, AChildHasNothingThereIfItIsNotToShare) {
  const std::string name = object_of_this_process("absent");
  for (const segment_kind kind :
       {segment_kind::dism, segment_kind::pageable, segment_kind::named, segment_kind::sealed}) {
    segment_resource memory({.kind = kind, .object = name.c_str(), .in_children = false});
    auto* const p = static_cast<volatile char*>(memory.allocate(page));
    EXPECT_NE(in_child([p] {
                p[0] = 1;  // a signal
                return 0;
              }),
              0);
    EXPECT_EQ(in_child([&] {
                // What is mapped there meanwhile is not the segment's.
                void* const place = const_cast<char*>(p);
                void* const other = ::mmap(place, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                memory.deallocate(place, page);
                if (memory.stats().upstream != 0 || memory.degraded({}) != 0) return 1;
                *static_cast<volatile char*>(other) = 1;
                return other == place ? 0 : 2;
              }),
              0);
    EXPECT_EQ(p[0], 0);
    memory.deallocate(const_cast<char*>(p), page);
    EXPECT_EQ(memory.stats().upstream, 0U);
  }
  os_script script;
  script.fail(os_call::madvise, 1, ENOMEM);
  segment_resource memory({.kind = segment_kind::named, .object = name.c_str(), .in_children = false});
  EXPECT_THROW((void)memory.allocate(1), allocation_error);
  EXPECT_EQ(script.mapped_bytes(), 0U);
  EXPECT_FALSE(object_exists(name));
}

// W0-07: whatever a child does at its end, destructors included, the parent's pool is as it was.
template <class Stack, class... Entries>
void expect_to_outlive_a_child_that_destroys_it(const Entries&... entries) {
  auto* const memory = new Stack(entries...);
  std::vector<std::pair<char*, std::size_t>> blocks;
  for (std::size_t i = 1; i <= 2000; ++i) {
    const std::size_t bytes = i * 7 % 3000 + 1;
    blocks.emplace_back(static_cast<char*>(memory->allocate(bytes)), bytes);
    std::memset(blocks.back().first, static_cast<int>(i & 0x7FU), bytes);
  }
  static_cast<void>(in_child([memory] {  // ends well, or at the first touch of what it has not
    delete memory;
    return 0;
  }));
  EXPECT_FALSE(memory->check().found());
  for (std::size_t i = 1; i <= blocks.size(); ++i) {
    const auto [p, bytes] = blocks[i - 1];
    EXPECT_TRUE(std::all_of(p, p + bytes, [i](char c) { return c == static_cast<char>(i & 0x7FU); }));
    memory->deallocate(p, bytes);
    memory->deallocate(memory->allocate(bytes * 2), bytes * 2);
  }
  EXPECT_FALSE(memory->check().found());
  delete memory;
  EXPECT_EQ(segments_made_by(::getpid()), 0U);
}

TEST(SegmentResource, AKeeperOutlivesAChildThatDoesNotShareAndDestroysIt) {
  const std::string name = object_of_this_process("keeper");
  for (const segment_kind kind : {segment_kind::pageable, segment_kind::sealed, segment_kind::named}) {
    const segments source{.kind = kind, .object = name.c_str(), .in_children = false};
    expect_to_outlive_a_child_that_destroys_it<stack<segments, slabs>>(source, slabs{});
    expect_to_outlive_a_child_that_destroys_it<stack<segments, heap>>(source, heap{});
    EXPECT_FALSE(object_exists(name));
  }
}

// --- misuse

class SegmentResourceDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(SegmentResourceDeathTest, APointerThatIsNoLiveBlockIsMisuse) {
  segment_resource memory({.name = "s"});
  auto* const p = static_cast<char*>(memory.allocate(2 * page));
  EXPECT_DEATH(memory.deallocate(p + page, page), "strata: s: the pointer is no live block of this resource");
  memory.deallocate(p, 2 * page);
  EXPECT_DEATH(memory.deallocate(p, 2 * page), "strata: s: the pointer is no live block of this resource");
}

TEST_F(SegmentResourceDeathTest, LiveBlocksAtDestructionAreMisuseAndTheirNamesGoAllTheSame) {
  EXPECT_DEATH(
      {
        const std::string own = object_of_this_process("dead");
        {
          segment_resource memory({.kind = segment_kind::named, .name = "s", .object = own.c_str()});
          set_misuse_handler([](const misuse& what) { std::fprintf(stderr, "%s: %s\n", what.layer, what.sentence); });
          (void)memory.allocate(1);
        }
        std::fprintf(stderr, "name %s\n", object_exists(own) ? "stays" : "is gone");
        std::abort();
      },
      "s: destroyed with live blocks: their segments stay mapped.*\nname is gone");
}

}  // namespace
}  // namespace strata::pmr
