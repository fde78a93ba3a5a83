// SPDX-License-Identifier: Apache-2.0
// Claims of the fake itself, that what is tested on it is tested on something: the quirks of P-S, each by its errno.
//  * MAP_ALIGN, fixed and wished addresses; swap is reserved when memory becomes writable, and lasts (P-S-20, P-S-21)
//  * MADV_DONTNEED and MADV_FREE discard nothing, MADV_PURGE does, past locked pages (P-S-23, P-S-24)
//  * getpagesizes and HAT advice refuse what they must (P-S-10…13); meminfo has no answer for untouched pages (P-S-14)
//  * shmat: kinds, alignment, errors (P-S-30…36); ISM is locked, cannot be protected, advised or cut (P-S-34)
//  * mlock needs the privilege (P-S-40…42); atomics return what they say (P-S-50)
#include <atomic.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <kstat.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "tests/fakes/solaris/machine.h"

namespace {

using strata::fake_solaris::attached_segments;
using strata::fake_solaris::fresh_machine;
using strata::fake_solaris::locked_bytes;
using strata::fake_solaris::reserved_swap;
using strata::fake_solaris::shared_memory_ids;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kLarge = std::size_t{2} << 20;
constexpr int kUsable = PROT_READ | PROT_WRITE;

// The result and the errno of a call that is to fail.
template <typename Call>
int errno_of(const Call& call) {
  errno = 0;
  return call() ? errno : -1;
}

caddr_t aligned_at(std::size_t alignment) { return reinterpret_cast<caddr_t>(alignment); }

caddr_t take(std::size_t bytes, int flags = MAP_PRIVATE | MAP_ANON, caddr_t where = nullptr, int access = kUsable) {
  return mmap(where, bytes, access, flags, -1, 0);
}

bool failed(const void* mapped) { return mapped == MAP_FAILED; }

struct FakeSolaris : testing::Test {
  fresh_machine machine;
};

TEST_F(FakeSolaris, MapsAlignedByTheAddress) {
  for (std::size_t alignment = kPage; alignment <= std::size_t{1} << 30; alignment *= 8) {
    const caddr_t got = take(kPage, MAP_PRIVATE | MAP_ANON | MAP_ALIGN, aligned_at(alignment));
    ASSERT_FALSE(failed(got));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got) % alignment, 0U);
    got[0] = 1;
    EXPECT_EQ(munmap(got, kPage), 0);
  }
  for (const std::size_t no : {std::size_t{3}, std::size_t{2048}, 3 * kPage})
    EXPECT_EQ(errno_of([&] { return failed(take(kPage, MAP_PRIVATE | MAP_ANON | MAP_ALIGN, aligned_at(no))); }),
              EINVAL);
  EXPECT_EQ(errno_of([] { return failed(take(0)); }), EINVAL);
  EXPECT_EQ(errno_of([] { return failed(take(kPage, MAP_ANON)); }), EINVAL) << "neither shared nor private";
  EXPECT_EQ(errno_of([] { return failed(mmap(nullptr, kPage, kUsable, MAP_PRIVATE | MAP_ANON, 0, 0)); }), EINVAL);
}

TEST_F(FakeSolaris, SwapIsReservedWhenMemoryBecomesWritable) {
  const std::uint64_t before = reserved_swap();
  machine->swap = before + 8 * kPage;
  const caddr_t got = take(16 * kPage, MAP_PRIVATE | MAP_ANON, nullptr, PROT_NONE);
  ASSERT_FALSE(failed(got));
  EXPECT_EQ(reserved_swap(), before);
  EXPECT_EQ(errno_of([&] { return mprotect(got, 9 * kPage, kUsable) != 0; }), EAGAIN);
  ASSERT_EQ(mprotect(got, 8 * kPage, kUsable), 0);
  EXPECT_EQ(reserved_swap(), before + 8 * kPage);
  EXPECT_EQ(errno_of([] { return failed(take(kPage)); }), EAGAIN);
  ASSERT_EQ(mprotect(got, 8 * kPage, PROT_NONE), 0);
  EXPECT_EQ(reserved_swap(), before + 8 * kPage) << "what has been written may be read again";
  const caddr_t unreserved = take(kPage, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE);
  EXPECT_FALSE(failed(unreserved));
  EXPECT_EQ(munmap(unreserved, kPage), 0);
  EXPECT_EQ(munmap(got, 16 * kPage), 0);
  EXPECT_EQ(reserved_swap(), before);
}

TEST_F(FakeSolaris, OnlyPurgeDiscardsAndPassesOverLockedPages) {
  machine->may_lock = true;
  const caddr_t got = take(4 * kPage);
  ASSERT_FALSE(failed(got));
  std::memset(got, 7, 4 * kPage);
  for (const int advice : {MADV_DONTNEED, MADV_FREE, MADV_WILLNEED, MADV_ACCESS_LWP}) {
    EXPECT_EQ(madvise(got, 4 * kPage, advice), 0);
    EXPECT_EQ(got[0], 7) << advice;
  }
  ASSERT_EQ(mlock(got, kPage), 0);
  EXPECT_EQ(madvise(got, 4 * kPage, MADV_PURGE), 0);
  EXPECT_EQ(got[0], 7);
  EXPECT_EQ(got[kPage], 0);
  EXPECT_EQ(errno_of([&] { return madvise(got + 1, kPage, MADV_PURGE) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return madvise(got, 0, MADV_PURGE) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return madvise(got, kPage, 14) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return madvise(got, 5 * kPage, MADV_PURGE) != 0; }), ENOMEM);
  EXPECT_EQ(munmap(got, 4 * kPage), 0);
}

TEST_F(FakeSolaris, HatAdviceIsForWholeAlignedPagesOfAKnownSize) {
  const caddr_t got = take(2 * kLarge, MAP_PRIVATE | MAP_ANON | MAP_ALIGN, aligned_at(kLarge));
  ASSERT_FALSE(failed(got));
  memcntl_mha advice{MHA_MAPSIZE_VA, 0, kLarge};
  const auto advise = [&advice](caddr_t base, std::size_t bytes, int attributes = 0) {
    return memcntl(base, bytes, MC_HAT_ADVISE, reinterpret_cast<caddr_t>(&advice), attributes, 0);
  };
  EXPECT_EQ(advise(got, 2 * kLarge), 0);
  EXPECT_EQ(errno_of([&] { return advise(got + kPage, kLarge) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return advise(got, kLarge + kPage) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return advise(got, kLarge, 1) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return advise(got, 8 * kLarge) != 0; }), ENOMEM);
  advice.mha_pagesize = 64 << 10;
  EXPECT_EQ(errno_of([&] { return advise(got, kLarge) != 0; }), EINVAL) << "no such size";
  advice = {MHA_MAPSIZE_VA, 1, kLarge};
  EXPECT_EQ(errno_of([&] { return advise(got, kLarge) != 0; }), EINVAL) << "flags";
  advice = {MHA_MAPSIZE_VA | MHA_MAPSIZE_STACK, 0, kLarge};
  EXPECT_EQ(errno_of([&] { return advise(got, kLarge) != 0; }), EINVAL) << "one command";
  EXPECT_EQ(errno_of([&] { return memcntl(got, kLarge, MC_HAT_ADVISE, nullptr, 0, 0) != 0; }), EFAULT);
  ASSERT_EQ(mprotect(got + kLarge, kPage, PROT_READ), 0);
  advice = {MHA_MAPSIZE_VA, 0, kLarge};
  EXPECT_EQ(errno_of([&] { return advise(got, 2 * kLarge) != 0; }), EINVAL) << "mixed permissions in one page";
  EXPECT_EQ(advise(got, kLarge), 0);

  got[0] = 1;
  const std::uint64_t addresses[] = {reinterpret_cast<std::uintptr_t>(got),
                                     reinterpret_cast<std::uintptr_t>(got + kPage)};
  const uint_t request = MEMINFO_VPAGESIZE;
  std::uint64_t sizes[2] = {};
  uint_t valid[2] = {};
  ASSERT_EQ(meminfo(addresses, 2, &request, 1, sizes, valid), 0);
  EXPECT_EQ(valid[0], 3U);
  EXPECT_EQ(sizes[0], kLarge);
  EXPECT_EQ(munmap(got, 2 * kLarge), 0);
}

TEST_F(FakeSolaris, GetpagesizesCountsAndFills) {
  std::size_t sizes[4] = {};
  EXPECT_EQ(getpagesizes(nullptr, 0), 3);
  EXPECT_EQ(getpagesizes(sizes, 2), 2);
  EXPECT_EQ(sizes[1], kLarge);
  EXPECT_EQ(sizes[2], 0U);
  EXPECT_EQ(errno_of([&] { return getpagesizes(sizes, 0) == -1; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return getpagesizes(nullptr, 2) == -1; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return getpagesizes(sizes, -1) == -1; }), EINVAL);
}

TEST_F(FakeSolaris, AttachmentsHaveOneKindAndItsAlignment) {
  const int id = shmget(IPC_PRIVATE, kPage, IPC_CREAT | 0600);
  ASSERT_GE(id, 0);
  EXPECT_EQ(errno_of([&] { return failed(shmat(id, nullptr, SHM_SHARE_MMU | SHM_PAGEABLE)); }), EINVAL);
  void* const ism = shmat(id, nullptr, SHM_SHARE_MMU);
  ASSERT_FALSE(failed(ism));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ism) % kLarge, 0U);
  EXPECT_EQ(locked_bytes(), kLarge) << "the length is rounded up";
  EXPECT_EQ(errno_of([&] { return failed(shmat(id, nullptr, SHM_PAGEABLE)); }), EINVAL) << "it is the other kind";
  EXPECT_EQ(errno_of([&] { return failed(shmat(id, static_cast<char*>(ism) + kPage, SHM_SHARE_MMU)); }), EINVAL);
  EXPECT_EQ(errno_of([&] { return failed(shmat(id, ism, SHM_SHARE_MMU)); }), EINVAL) << "taken";

  const caddr_t bytes = static_cast<caddr_t>(ism);
  EXPECT_EQ(mprotect(bytes, kLarge, PROT_NONE), 0);
  bytes[0] = 1;
  EXPECT_EQ(errno_of([&] { return munmap(bytes, kPage) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return failed(take(kPage, MAP_PRIVATE | MAP_ANON | MAP_FIXED, bytes)); }), EINVAL);
  memcntl_mha advice{MHA_MAPSIZE_VA, 0, kLarge};
  EXPECT_EQ(
      errno_of([&] { return memcntl(bytes, kLarge, MC_HAT_ADVISE, reinterpret_cast<caddr_t>(&advice), 0, 0) != 0; }),
      EINVAL);
  EXPECT_EQ(madvise(bytes, kLarge, MADV_PURGE), 0);
  EXPECT_EQ(bytes[0], 1) << "succeeds and does nothing";

  ASSERT_EQ(shmctl(id, IPC_RMID, nullptr), 0);
  EXPECT_EQ(shared_memory_ids(), 1U) << "until the last detach";
  EXPECT_EQ(errno_of([&] { return shmdt(bytes + kPage) != 0; }), EINVAL);
  EXPECT_EQ(shmdt(bytes), 0);
  EXPECT_EQ(shared_memory_ids(), 0U);
  EXPECT_EQ(attached_segments(), 0U);
  EXPECT_EQ(locked_bytes(), 0U);
  EXPECT_EQ(errno_of([&] { return shmctl(id, IPC_RMID, nullptr) != 0; }), EINVAL);
}

TEST_F(FakeSolaris, SegmentsObeyTheirLimits) {
  EXPECT_EQ(errno_of([] { return shmget(IPC_PRIVATE, 0, 0600) < 0; }), EINVAL);
  machine->max_shm_memory = kPage;
  EXPECT_EQ(errno_of([] { return shmget(IPC_PRIVATE, kPage + 1, 0600) < 0; }), EINVAL) << "not ENOMEM";
  machine->max_shm_ids = 1;
  const int id = shmget(IPC_PRIVATE, kPage, 0600);
  ASSERT_GE(id, 0);
  EXPECT_EQ(errno_of([] { return shmget(IPC_PRIVATE, kPage, 0600) < 0; }), EINVAL) << "all of the memory is used";
  machine->max_shm_memory = strata::fake_solaris::no_limit;
  EXPECT_EQ(errno_of([] { return shmget(IPC_PRIVATE, kPage, 0600) < 0; }), ENOSPC);
  EXPECT_EQ(errno_of([&] { return shmctl(id, SHM_LOCK, nullptr) != 0; }), EPERM);
  machine->max_locked = kPage;
  EXPECT_EQ(errno_of([&] { return failed(shmat(id, nullptr, SHM_SHARE_MMU)); }), ENOMEM);
  EXPECT_EQ(shmctl(id, IPC_RMID, nullptr), 0);
}

TEST_F(FakeSolaris, LockingNeedsThePrivilegeFirst) {
  const caddr_t got = take(2 * kPage);
  ASSERT_FALSE(failed(got));
  EXPECT_EQ(errno_of([&] { return mlock(got, 1) != 0; }), EPERM);
  machine->may_lock = true;
  EXPECT_EQ(errno_of([&] { return mlock(got + 1, kPage) != 0; }), EINVAL);
  EXPECT_EQ(errno_of([&] { return mlock(got, 3 * kPage) != 0; }), ENOMEM);
  machine->max_locked = kPage;
  EXPECT_EQ(errno_of([&] { return mlock(got, 2 * kPage) != 0; }), EAGAIN);
  EXPECT_EQ(locked_bytes(), 0U);
  EXPECT_EQ(mlock(got, kPage), 0);
  EXPECT_EQ(mlock(got, kPage), 0);
  EXPECT_EQ(locked_bytes(), kPage) << "no nesting";
  EXPECT_EQ(munmap(got, 2 * kPage), 0);
  EXPECT_EQ(locked_bytes(), 0U);
}

// S0-41, within one snapshot.
TEST_F(FakeSolaris, ItsCensusAddsUp) {
  machine->physmem = 2092861;
  machine->pageslocked = 1162706;
  machine->freemem = 1234;
  kstat_ctl_t* const control = kstat_open();
  ASSERT_NE(control, nullptr);
  char module[] = "unix";
  char name[] = "system_pages";
  kstat_t* const census = kstat_lookup(control, module, 0, name);
  ASSERT_NE(census, nullptr);
  EXPECT_EQ(census->ks_data, nullptr) << "not before it is read";
  ASSERT_NE(kstat_read(control, census, nullptr), -1);
  const auto value = [census](const char* which) {
    auto* const found = static_cast<kstat_named_t*>(kstat_data_lookup(census, const_cast<char*>(which)));
    return found == nullptr ? 0 : found->value.ul;
  };
  EXPECT_EQ(value("pagestotal"), value("physmem"));
  EXPECT_EQ(value("pagestotal"), value("availrmem") + value("pageslocked"));
  EXPECT_EQ(value("availrmem"), 930155U);
  EXPECT_EQ(value("freemem"), value("pagesfree"));
  EXPECT_EQ(kstat_close(control), 0);
}

TEST_F(FakeSolaris, AtomicsReturnTheNewValueOrTheOld) {
  std::uint32_t word = 5;
  EXPECT_EQ(atomic_add_32_nv(&word, -3), 2U);
  EXPECT_EQ(atomic_inc_32_nv(&word), 3U);
  EXPECT_EQ(atomic_or_32_nv(&word, 4), 7U);
  EXPECT_EQ(atomic_cas_32(&word, 6, 1), 7U) << "the value found";
  EXPECT_EQ(atomic_cas_32(&word, 7, 1), 7U);
  EXPECT_EQ(atomic_swap_32(&word, 9), 1U);
  EXPECT_EQ(word, 9U);
  ulong_t bits = 0;
  EXPECT_EQ(atomic_set_long_excl(&bits, 3), 0);
  EXPECT_EQ(atomic_set_long_excl(&bits, 3), -1);
  EXPECT_EQ(bits, 8U);
  EXPECT_EQ(atomic_clear_long_excl(&bits, 3), 0);
  EXPECT_EQ(atomic_clear_long_excl(&bits, 3), -1);
  int thing = 0;
  void* pointer = nullptr;
  EXPECT_EQ(atomic_cas_ptr(&pointer, nullptr, &thing), nullptr);
  EXPECT_EQ(pointer, &thing);
}

}  // namespace
