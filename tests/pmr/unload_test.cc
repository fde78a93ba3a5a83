// SPDX-License-Identifier: Apache-2.0
// Claims, of a library that has Strata inside and a program that has not: it can be opened, used by several threads and closed, again and again; threads
// that used it may end after it was closed, and fork and the process's end come as ever; where threads have caches it stays loaded, its static stack and
// the blocks of that too; otherwise it goes, and a block that it leaves behind is told of. Every case has a process of its own.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

namespace {

constexpr const char* kFile = "tests/pmr/unloaded_module.so";
constexpr int kRounds = 4;

[[noreturn]] void fail(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::_Exit(2);
}

class library {
 public:
  library() : handle_(::dlopen(kFile, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) fail(::dlerror());
  }
  ~library() {
    if (::dlclose(handle_) != 0) fail(::dlerror());
  }
  library(const library&) = delete;
  library& operator=(const library&) = delete;

  template <class Function>
  [[nodiscard]] Function* find(const char* name) const {
    void* const found = ::dlsym(handle_, name);
    if (found == nullptr) fail(::dlerror());
    return reinterpret_cast<Function*>(found);
  }
  void use(const char* name) const {
    if (find<int()>(name)() == 0) fail(name);
  }

 private:
  void* const handle_;
};

bool is_loaded() {
  void* const handle = ::dlopen(kFile, RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

void expect(bool condition, const char* what) {
  if (!condition) fail(what);
}

// A thread that uses what it is told to, and ends when it is told to.
class user {
 public:
  user(const library& of, const char* function)
      : thread_([this, &of, function] {
          of.use(function);
          has_used_ = true;
          has_used_.notify_all();
          may_end_.wait(false);
        }) {
    has_used_.wait(false);
  }
  ~user() {
    may_end_ = true;
    may_end_.notify_all();
    thread_.join();
  }
  user(const user&) = delete;
  user& operator=(const user&) = delete;

 private:
  std::atomic<bool> has_used_{false};
  std::atomic<bool> may_end_{false};
  std::thread thread_;
};

void fork_and_wait() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = 0;
  expect(child > 0 && ::waitpid(child, &status, 0) == child && status == 0, "a fork went wrong");
}

void expect_silent_end(void (*in_child)()) { EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "^$"); }

TEST(Unload, ThreadsThatUsedItEndBeforeItIsClosed) {
  expect_silent_end(+[] {
    for (int round = 0; round < kRounds; ++round) {
      const library opened;
      opened.use("use_own_stacks");
      std::vector<std::thread> threads;
      for (const char* function : {"use_own_stacks", "use_static_stack", "use_own_stacks", "use_static_stack"}) {
        threads.emplace_back([&opened, function] { opened.use(function); });
      }
      for (std::thread& each : threads) each.join();
    }
    fork_and_wait();
    std::exit(0);
  });
}

TEST(Unload, ThreadsThatUsedItEndAfterItIsClosed) {
  expect_silent_end(+[] {
    for (int round = 0; round < kRounds; ++round) {
      std::array<std::unique_ptr<user>, 4> users;
      {
        const library opened;
        for (std::size_t i = 0; i < users.size(); ++i) {
          users[i] = std::make_unique<user>(opened, i % 2 == 0 ? "use_static_stack" : "use_own_stacks");
        }
      }
      fork_and_wait();
      users = {};
    }
    std::exit(0);
  });
}

TEST(Unload, AStaticStackAndItsBlocksStayWhereThreadsHaveCaches) {
  expect_silent_end(+[] {
    void* p = nullptr;
    for (int round = 0; round < kRounds; ++round) {
      const library opened;
      const auto give = opened.find<void(void*, std::size_t)>("give_block");
      const auto live = opened.find<std::size_t()>("live_blocks");
      if (p != nullptr) {
        expect(live() == 1, "a static stack did not stay as it was");
        expect(*static_cast<volatile unsigned char*>(p) == 0x5A, "a block did not stay as it was");
        give(p, 100);
      }
      expect(live() == 0, "a block is live that nobody has");
      p = opened.find<void*(std::size_t)>("take_block")(100);
    }
    expect(is_loaded(), "it went");
    expect(*static_cast<volatile unsigned char*>(p) == 0x5A, "a block went with it");
    std::exit(0);
  });
}

TEST(Unload, WithoutCachesItGoes) {
  expect_silent_end(+[] {
    for (int round = 0; round < kRounds; ++round) {
      {
        const library opened;
        opened.use("use_stack_without_caches");
        fork_and_wait();
      }
      expect(!is_loaded(), "it stayed");
      fork_and_wait();
    }
    std::exit(0);
  });
}

TEST(Unload, ABlockThatItLeavesBehindIsTold) {
  EXPECT_DEATH(
      {
        const library opened;
        opened.find<void()>("leave_a_block_behind")();
      },
      "strata: forgetful: destroyed with live blocks");
}

}  // namespace

// Strata's thread_local tables are found by their distance from the thread itself, which a library that is opened late has
// room for only where the loader was told so, before the program began.
int main(int argc, char** argv) {
  if (std::getenv("GLIBC_TUNABLES") == nullptr) {
    ::setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=8192", 1);
    ::execv("/proc/self/exe", argv);
    fail("the program cannot begin again");
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
