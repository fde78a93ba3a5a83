// SPDX-License-Identifier: Apache-2.0
// Claims: what asks for memory in a child that is cut off is found, whichever way it asks, and by whichever thread: the
// malloc family and operator new get nothing and are counted, exceptions by the memory they ask for; mapping calls are
// named; stacks do not grow; pages touched for the first time are counted as faults. What asks for nothing comes to its
// end.
#include "tests/support/cut_off.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include "tests/support/sanitizer.h"

namespace strata::test {
namespace {

// Not to be optimised away.
void* volatile got = nullptr;

bool refused(void* block) {
  got = block;
  return block == nullptr;
}

cut_off_outcome of_work(const cut_off::job& work, unsigned threads = 1) {
  return in_cut_off_child([&](cut_off& here) { here.run(threads, work); });
}

TEST(CutOff, LetsWorkThatNeedsNothingComeToItsEnd) {
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    std::atomic<int> turn = 0;
    here.run(
        3,
        [&](unsigned thread) {
          for (int now = turn; now != static_cast<int>(thread); now = turn) turn.wait(now);
          ++turn;
          turn.notify_all();
        },
        [&] { demand(turn == 3, "all had their turn"); });
  });
  EXPECT_EQ(seen.said, "");
  EXPECT_EQ(seen.status, 0);
  EXPECT_EQ(seen.heap_requests, 0U);
}

TEST(CutOff, SaysWhichDemandIsNotMetByWhichThread) {
  const cut_off_outcome seen = of_work([](unsigned thread) { demand(thread != 1, "a sentence"); }, 2);
  EXPECT_EQ(seen.status, 1);
  EXPECT_NE(seen.said.find(": a sentence (thread 1)"), std::string::npos) << seen.said;
  const cut_off_outcome after =
      in_cut_off_child([](cut_off& here) { here.run(1, [](unsigned) {}, [] { demand(false, "afterwards"); }); });
  EXPECT_NE(after.said.find(": afterwards"), std::string::npos) << after.said;
}

TEST(CutOff, RefusesTheMallocFamily) {
  const cut_off_outcome seen = of_work([](unsigned) {
    demand(refused(std::malloc(1)), "malloc");
    demand(refused(std::calloc(1, 1)), "calloc");
    demand(refused(std::realloc(nullptr, 1)), "realloc");
    demand(refused(::memalign(64, 1)), "memalign");
    demand(refused(std::aligned_alloc(64, 64)), "aligned_alloc");
    void* block = nullptr;
    demand(::posix_memalign(&block, 64, 1) != 0, "posix_memalign");
  });
  EXPECT_EQ(seen.said, "");
  EXPECT_EQ(seen.heap_requests, 6U);
}

TEST(CutOff, SeesOperatorNew) {
  const cut_off_outcome seen = of_work([](unsigned) {
    got = ::operator new(1, std::nothrow);
    got = ::operator new[](1, std::nothrow);
    got = ::operator new(1, std::align_val_t(64), std::nothrow);
    got = ::operator new[](1, std::align_val_t(64), std::nothrow);
  });
  EXPECT_EQ(seen.said, "");
  EXPECT_GE(seen.heap_requests, 4U);  // more if there is an exception inside
}

TEST(CutOff, CountsAnExceptionAsOneRequest) {
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    here.run(4, [&](unsigned) {
      for (int i = 0; i < 100; ++i) {
        try {
          throw std::bad_alloc();
        } catch (const std::bad_alloc&) {
          here.caught();
        }
      }
    });
  });
  EXPECT_EQ(seen.said, "");
  EXPECT_EQ(seen.heap_requests, 400U);
  EXPECT_EQ(seen.exceptions, 400U);
}

TEST(CutOff, SaysThatAnExceptionLeftTheWork) {
  const cut_off_outcome seen = of_work([](unsigned) { throw std::bad_alloc(); });
  EXPECT_NE(seen.said.find("an exception left the work"), std::string::npos) << seen.said;
}

TEST(CutOff, NamesTheCallThatAsksTheKernel) {
  EXPECT_EQ(of_work([](unsigned) { got = ::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }).said,
            "system call " + std::to_string(SYS_mmap) + " (mmap) by thread 0");
  EXPECT_EQ(of_work(
                [](unsigned thread) {
                  if (thread == 1) got = ::sbrk(4096);
                },
                2)
                .said,
            "system call " + std::to_string(SYS_brk) + " (brk) by thread 1");
  static std::array<char, 8192> some;
  EXPECT_EQ(of_work([](unsigned) { ::madvise(some.data(), 1, MADV_NORMAL); }).said,
            "system call " + std::to_string(SYS_madvise) + " (madvise) by thread 0");
  EXPECT_EQ(of_work([](unsigned) { ::getppid(); }).said,
            "system call " + std::to_string(SYS_getppid) + " (look it up) by thread 0");
}

TEST(CutOff, NamesTheCallThatIsMadeAfterTheWork) {
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    here.run(1, [](unsigned) {}, [] { got = ::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); });
  });
  EXPECT_EQ(seen.said, "system call " + std::to_string(SYS_mmap) + " (mmap) by thread -1");
}

TEST(CutOff, LetsNoStackGrow) {
  if (under_asan || under_tsan) GTEST_SKIP() << "the runtime needs memory, so RLIMIT_AS is as it was";
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    std::signal(SIGSEGV, SIG_DFL);  // UBSan's would ask the kernel who it is
    here.run(
        1, [](unsigned) {},
        [] {
          std::array<volatile char, std::size_t{2} << 20> room;
          for (std::size_t i = room.size(); i > 0; i -= 512) room[i - 1] = 0;
        });
  });
  EXPECT_EQ(seen.status, 1000 + SIGSEGV) << seen.said;
}

TEST(CutOff, CountsThePagesTouchedForTheFirstTime) {
  constexpr std::size_t pages = 64;
  const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
    const auto bytes = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const fresh = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    here.run(1, [&](unsigned) {
      for (std::size_t i = 0; i < bytes; i += bytes / pages) static_cast<volatile char*>(fresh)[i] = 1;
    });
  });
  EXPECT_EQ(seen.said, "");
  EXPECT_GE(seen.minor_faults, static_cast<long>(pages));
}

TEST(CutOff, CountsNoFaultWhereAllWasTouched) {
  if (under_asan || under_tsan) GTEST_SKIP() << "the runtime's shadow has faults of its own";
  static std::array<volatile char, std::size_t{1} << 20> room;
  const auto touch = [](unsigned) {
    for (std::size_t i = 0; i < room.size(); i += 512) room[i] = 1;
  };
  const cut_off_outcome seen = in_cut_off_child([&](cut_off& here) { here.run(1, touch, [] {}, touch); });
  EXPECT_EQ(seen.said, "");
  EXPECT_EQ(seen.minor_faults, 0);
  EXPECT_EQ(seen.major_faults, 0);
}

TEST(CutOff, SaysThatNothingWasCutOff) {
  const cut_off_outcome seen = in_cut_off_child([](cut_off&) {});
  EXPECT_EQ(seen.status, 1);
  EXPECT_EQ(seen.said, "it was never cut off");
}

}  // namespace
}  // namespace strata::test
