// SPDX-License-Identifier: Apache-2.0
// Claims: a script fails the call it names, then and as that call reports errors, and no other; it counts; mapped bytes
// add up; without a script everything is real. Every wrapped call is made here once, so a name that is not wrapped
// shows.
#include "tests/os_script/os_script.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using strata::test::fail_each;
using strata::test::os_call;
using strata::test::os_script;

constexpr std::size_t kPage = 4096;

void* map_page() { return ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

/// Each call made in a way that succeeds. Answers errno of the failure, 0 for success.
struct sample {
  os_call call;
  std::function<int()> make;
};

int told(long result) { return result < 0 ? errno : 0; }
void nothing() {}

std::vector<sample> samples() {
  static void* const page = map_page();
  static const int root = ::open("/", O_RDONLY | O_DIRECTORY);
  static const int object = ::memfd_create("os_script_test", MFD_CLOEXEC);
  static pthread_key_t key;
  static const bool made = ::pthread_key_create(&key, nullptr) == 0;
  EXPECT_TRUE(made);
  return {
      {os_call::mmap, [] { return told(map_page() == MAP_FAILED ? -1 : 0); }},
      {os_call::munmap, [] { return told(::munmap(page, 0) < 0 && errno == EINVAL ? 0 : -1); }},
      {os_call::mprotect, [] { return told(::mprotect(page, kPage, PROT_READ | PROT_WRITE)); }},
      {os_call::madvise, [] { return told(::madvise(page, kPage, MADV_NORMAL)); }},
      {os_call::ioctl,
       [] {
         int waiting = 0;
         static const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
         return told(::ioctl(zero, FIONREAD, &waiting) < 0 && errno == ENOTTY ? 0 : -1);
       }},
      {os_call::statvfs,
       [] {
         struct statvfs answer{};
         return told(::statvfs("/", &answer));
       }},
      {os_call::mlock, [] { return told(::mlock(page, kPage)); }},
      {os_call::mlock2, [] { return told(::mlock2(page, kPage, 0)); }},
      {os_call::munlock, [] { return told(::munlock(page, kPage)); }},
      {os_call::shmget, [] { return told(::shmget(IPC_PRIVATE, 0, IPC_CREAT) < 0 && errno == EINVAL ? 0 : -1); }},
      {os_call::shmat, [] { return told(::shmat(-1, nullptr, 0) == MAP_FAILED && errno == EINVAL ? 0 : -1); }},
      {os_call::shmdt, [] { return told(::shmdt(page) < 0 && errno == EINVAL ? 0 : -1); }},
      {os_call::shmctl, [] { return told(::shmctl(-1, IPC_RMID, nullptr) < 0 && errno == EINVAL ? 0 : -1); }},
      {os_call::shm_open,
       [] { return told(::shm_open("/strata-no-such-object", O_RDWR, 0) < 0 && errno == ENOENT ? 0 : -1); }},
      {os_call::shm_unlink,
       [] { return told(::shm_unlink("/strata-no-such-object") < 0 && errno == ENOENT ? 0 : -1); }},
      {os_call::memfd_create, [] { return told(::memfd_create("test", ~0U) < 0 && errno == EINVAL ? 0 : -1); }},
      {os_call::ftruncate, [] { return told(::ftruncate(object, kPage)); }},
      {os_call::posix_fallocate, [] { return ::posix_fallocate(object, 0, kPage); }},
      {os_call::fallocate, [] { return told(::fallocate(object, 0, 0, kPage)); }},
      {os_call::sigaction,
       [] {
         struct sigaction now{};
         return told(::sigaction(SIGUSR1, nullptr, &now));
       }},
      {os_call::sigaltstack,
       [] {
         stack_t now{};
         return told(::sigaltstack(nullptr, &now));
       }},
      {os_call::fstat,
       [] {
         struct stat known{};
         return told(::fstat(object, &known));
       }},
      {os_call::fstatvfs,
       [] {
         struct statvfs place{};
         return told(::fstatvfs(object, &place));
       }},
      {os_call::fcntl, [] { return told(::fcntl(object, F_GETFD)); }},
      {os_call::prctl, [] { return told(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)); }},
      {os_call::syscall, [] { return told(::syscall(SYS_getpid)); }},
      {os_call::membarrier, [] { return told(::syscall(SYS_membarrier, 0, 0, 0)); }},
      {os_call::sysconf, [] { return told(::sysconf(_SC_PAGESIZE)); }},
      {os_call::sysinfo,
       [] {
         struct sysinfo info{};
         return told(::sysinfo(&info));
       }},
      {os_call::sched_getaffinity,
       [] {
         cpu_set_t set;
         return told(::sched_getaffinity(0, sizeof set, &set));
       }},
      {os_call::open,
       [] {
         const int fd = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
         if (fd >= 0) ::close(fd);
         return told(fd);
       }},
      {os_call::read,
       [] {
         char byte = 1;
         const int fd = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
         const int answer = told(::read(fd, &byte, 1));
         ::close(fd);
         return answer;
       }},
      {os_call::close,
       [] {
         const int fd = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
         const int answer = told(::close(fd));
         if (answer != 0) ::syscall(SYS_close, fd);
         return answer;
       }},
      {os_call::getdents64,
       [] {
         alignas(8) char entries[1024];
         return told(::getdents64(root, entries, sizeof entries));
       }},
      {os_call::clock_gettime,
       [] {
         timespec now{};
         return told(::clock_gettime(CLOCK_MONOTONIC, &now));
       }},
      {os_call::pthread_key_create,
       [] {
         pthread_key_t another{};
         const int code = ::pthread_key_create(&another, nullptr);
         if (code == 0) ::pthread_key_delete(another);
         return code;
       }},
      {os_call::pthread_setspecific, [] { return ::pthread_setspecific(key, nullptr); }},
      {os_call::pthread_atfork, [] { return ::pthread_atfork(nothing, nothing, nothing); }},
      {os_call::dlopen, [] { return told(::dlopen(nullptr, RTLD_LAZY) == nullptr ? -1 : 0); }},
  };
}

TEST(OsScript, FailsEachCallTheWayThatCallReportsErrors) {
  const std::vector<sample> all = samples();
  ASSERT_EQ(all.size(), static_cast<std::size_t>(strata::test::os_call_count));
  for (const sample& one : all) {
    SCOPED_TRACE(static_cast<int>(one.call));
    EXPECT_EQ(one.make(), 0) << "without a script";
    os_script script;
    EXPECT_EQ(one.make(), 0) << "a script that says nothing";
    EXPECT_EQ(script.calls(one.call), 1U);
    script.fail(one.call, 2, EXDEV);
    EXPECT_EQ(one.make(), 0);
    EXPECT_EQ(one.make(), EXDEV);
    EXPECT_EQ(one.make(), 0);
    EXPECT_EQ(script.failed(one.call), 1U);
    script.fail_always(one.call, EDOM);
    EXPECT_EQ(one.make(), EDOM);
    EXPECT_EQ(one.make(), EDOM);
    EXPECT_EQ(script.failed(one.call), 3U);
    script.fail_always(one.call, 0);
    EXPECT_EQ(one.make(), 0);
  }
}

TEST(OsScript, FailsNoOtherCall) {
  for (const sample& scripted : samples()) {
    if (scripted.call == os_call::open || scripted.call == os_call::close) continue;  // others are made of these
    os_script script;
    script.fail_always(scripted.call, EXDEV);
    for (const sample& other : samples()) {
      if (other.call != scripted.call) EXPECT_EQ(other.make(), 0);
    }
  }
}

TEST(OsScript, FailsOneAdviceAndNoOther) {
  void* const page = map_page();
  ASSERT_NE(page, MAP_FAILED);
  {
    os_script script;
    script.fail_advice(MADV_DONTNEED, EINVAL);
    EXPECT_EQ(told(::madvise(page, kPage, MADV_NORMAL)), 0);
    EXPECT_EQ(told(::madvise(page, kPage, MADV_DONTNEED)), EINVAL);
    EXPECT_EQ(told(::madvise(page, kPage, MADV_DONTNEED)), EINVAL);
    EXPECT_EQ(script.calls(os_call::madvise), 3U);
    EXPECT_EQ(script.failed(os_call::madvise), 2U);
    script.fail(os_call::madvise, 1, EXDEV);
    EXPECT_EQ(told(::madvise(page, kPage, MADV_DONTNEED)), EXDEV) << "the nth call comes first";
    EXPECT_EQ(told(::madvise(page, kPage, MADV_DONTNEED)), EINVAL);
    script.fail_advice(MADV_DONTNEED, 0);
    EXPECT_EQ(told(::madvise(page, kPage, MADV_DONTNEED)), 0);
    script.fail_advice(MADV_DONTNEED, EINVAL);
  }
  EXPECT_EQ(told(::madvise(page, kPage, MADV_DONTNEED)), 0) << "ends with the script";
  EXPECT_EQ(::munmap(page, kPage), 0);
}

TEST(OsScript, EndsWithItsScope) {
  {
    os_script().fail_always(os_call::mmap, ENOMEM);
  }
  void* const page = map_page();
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_EQ(::munmap(page, kPage), 0);
  os_script script;
  EXPECT_EQ(script.calls(os_call::mmap), 0U);
  EXPECT_EQ(script.failed(os_call::mmap), 0U);
}

TEST(OsScript, KeepsSeveralFailuresWaiting) {
  os_script script;
  script.fail(os_call::sysconf, 3, EIO);
  script.fail(os_call::sysconf, 1, EPERM);
  std::string outcome;
  for (int i = 0; i < 4; ++i) {
    const long got = ::sysconf(_SC_PAGESIZE);
    outcome += got > 0 ? '.' : errno == EIO ? 'i' : 'p';
  }
  EXPECT_EQ(outcome, "p.i.");
  for (unsigned i = 0; i < 20; ++i) {  // a place whose turn has passed is free again
    script.fail(os_call::sysconf, 1, EIO);
    EXPECT_EQ(::sysconf(_SC_PAGESIZE), -1);
  }
}

TEST(OsScript, AddsUpMappedBytes) {
  os_script script;
  auto* const base =
      static_cast<char*>(::mmap(nullptr, 4 * kPage - 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(base, MAP_FAILED);
  EXPECT_EQ(script.mapped_bytes(), 4 * kPage);
  ASSERT_EQ(::mmap(base, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), base);
  EXPECT_EQ(script.mapped_bytes(), 4 * kPage);
  ASSERT_EQ(::munmap(base + kPage, kPage), 0);
  EXPECT_EQ(script.mapped_bytes(), 3 * kPage);
  script.fail(os_call::mmap, 1, ENOMEM);
  EXPECT_EQ(map_page(), MAP_FAILED);
  script.fail(os_call::munmap, 1, ENOMEM);
  EXPECT_EQ(::munmap(base, kPage), -1);
  EXPECT_EQ(script.mapped_bytes(), 3 * kPage);
  ASSERT_EQ(::munmap(base, kPage), 0);
  ASSERT_EQ(::munmap(base + 2 * kPage, 2 * kPage), 0);
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

TEST(OsScript, PassesEveryWordOfVariadicCalls) {
  int word = 5;
  int other = 0;
  // FUTEX_WAKE_OP takes all six: here it adds 7 to the sixth's word and wakes nobody.
  EXPECT_EQ(::syscall(SYS_futex, &other, FUTEX_WAKE_OP, 0, 0, &word, FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0)), 0);
  EXPECT_EQ(word, 12);
  const std::string name = testing::TempDir() + "os_script_mode";
  ::unlink(name.c_str());
  const mode_t mask = ::umask(0);
  const int fd = ::open(name.c_str(), O_CREAT | O_WRONLY | O_EXCL, 0640);
  ::umask(mask);
  ASSERT_GE(fd, 0);
  struct stat file{};
  EXPECT_EQ(::fstat(fd, &file), 0);
  EXPECT_EQ(file.st_mode & 07777U, 0640U);
  EXPECT_EQ(::close(fd), 0);
  ::unlink(name.c_str());
}

TEST(OsScript, CountsTheCallsOfAllThreads) {
  os_script script;
  script.fail(os_call::madvise, 2000, EIO);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 1000; ++i) ::madvise(nullptr, 0, MADV_NORMAL);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(script.calls(os_call::madvise), 4000U);
  EXPECT_EQ(script.failed(os_call::madvise), 1U);
}

TEST(OsScript, FailEachMeetsEveryStep) {
  std::string outcome;
  const unsigned met = fail_each(os_call::sysconf, {EIO, EPERM}, [&](os_script&) {
    for (int i = 0; i < 3; ++i) {
      if (::sysconf(_SC_PAGESIZE) < 0) {
        outcome += std::to_string(i);
        return;
      }
    }
    outcome += '.';
  });
  EXPECT_EQ(met, 6U);
  EXPECT_EQ(outcome, "012.012.");
}

TEST(OsScriptDeathTest, RefusesASecondScript) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const os_script first;
        const os_script second;
      },
      "os_script: there is a script already");
}

}  // namespace
