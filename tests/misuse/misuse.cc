// SPDX-License-Identifier: Apache-2.0
//
// misuse            every misuse on every subject, and ordinary work on each
// misuse --watched  the same below a debug_adaptor
// misuse --build    how this program was built: asan, checked (with assertions) or plain
//
// Each in a process of its own. Of each it prints how that ended and what it said:
//
//   == slabs / double deallocate / pid 4711 / signal 6
//   | strata: one: …
//
// and "cannot be" where an interface has no such misuse. Who looks at it is matrix.py.
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "tests/misuse/subjects.h"
#include "tests/support/sanitizer.h"

import strata.pmr;

namespace sp = strata::pmr;

namespace {

constexpr std::size_t kAlignment = 16;
constexpr int kFillWasRead = 3;

// What a child does with memory: three blocks of one size, the middle one the victim as a rule.
struct scene {
  const subject& what;
  bool is_watched;
  std::unique_ptr<memory> one;
  std::unique_ptr<memory> other;
  std::array<std::byte*, 3> blocks{};

  scene(const subject& s, bool watched) : what(s), is_watched(watched) {
    one = (watched ? s.open_watched : s.open)("one");
    other = (watched ? s.open_watched : s.open)("other");
    for (std::byte*& block : blocks) block = static_cast<std::byte*>(one->get(what.bytes, kAlignment));
  }
  void give(std::byte* p) { one->give(p, what.bytes, kAlignment); }
  // What a program does that has not gone wrong.
  void give_all_but(const std::byte* gone) {
    for (std::byte* block : blocks) {
      if (block != gone) give(block);
    }
  }
};

// The report of a detector has to be about this very byte.
[[gnu::noinline]] void touches(const volatile void* p) {
  char line[64];
  const int length = std::snprintf(line, sizeof(line), "touches 0x%zx\n", reinterpret_cast<std::uintptr_t>(p));
  if (::write(1, line, static_cast<std::size_t>(length)) < 0) std::_Exit(99);
}

// What a byte holds, 0 if it is not there. Asked through the kernel, so that no detector sees a load.
unsigned char peek(const std::byte* p) {
  unsigned char found = 0;
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  if (memory < 0) std::_Exit(99);
  if (::pread(memory, &found, 1, static_cast<off_t>(reinterpret_cast<std::uintptr_t>(p))) < 0) found = 0;
  ::close(memory);
  return found;
}

// Damage: whatever the byte was (of a heap's seal, anything), it is another one now.
[[gnu::noinline]] void write_to(std::byte* p) {
  const unsigned char before = peek(p);
  touches(p);
  *reinterpret_cast<volatile unsigned char*>(p) = static_cast<unsigned char>(before ^ 0x5AU);
}

// Branches on what it reads, and looks whether it is what a debug_adaptor fills such memory with.
[[gnu::noinline]] void read_from(std::byte* block, std::size_t offset, sp::debug_pattern pattern) {
  touches(block + offset);
  const std::uint32_t found = *reinterpret_cast<volatile std::uint32_t*>(block + offset);
  if (found == sp::word_of(reinterpret_cast<std::uintptr_t>(block), pattern)) {
    std::printf("what was read is what fills such memory\n");
    std::exit(kFillWasRead);
  }
}

using deed = void (*)(scene&);

void write_after_deallocate(scene& s) {
  s.give(s.blocks[1]);
  write_to(s.blocks[1] + s.what.bytes / 2);
  s.give_all_but(s.blocks[1]);
}
void read_after_deallocate(scene& s) {
  s.give(s.blocks[1]);
  read_from(s.blocks[1], s.what.bytes / 2, sp::debug_pattern::freed);
  s.give_all_but(s.blocks[1]);
}
void overflow(scene& s) {
  write_to(s.blocks[2] + s.what.bytes);
  s.give_all_but(nullptr);
}
void underflow(scene& s) {
  write_to(s.blocks[0] - 1);
  s.give_all_but(nullptr);
}
void double_deallocate(scene& s) {
  s.give(s.blocks[1]);
  s.give(s.blocks[1]);
  s.give_all_but(s.blocks[1]);
}
void wrong_size(scene& s) {
  s.one->give(s.blocks[1], s.what.bytes - 1, kAlignment);
  s.give_all_but(s.blocks[1]);
}
void wrong_alignment(scene& s) {
  s.one->give(s.blocks[1], s.what.bytes, kAlignment / 2);
  s.give_all_but(s.blocks[1]);
}
void foreign_resource(scene& s) {
  s.other->give(s.blocks[1], s.what.bytes, kAlignment);
  s.give_all_but(s.blocks[1]);
}
void interior_pointer(scene& s) {
  s.give(s.blocks[1] + kAlignment);
  s.give_all_but(s.blocks[1]);
}
void uninitialised_read(scene& s) {
  read_from(s.blocks[1], s.what.bytes / 2, sp::debug_pattern::allocated);
  s.give_all_but(nullptr);
}
void use_after_release(scene& s) {
  if (s.one->release()) {
    write_to(s.blocks[1]);
    s.give(s.blocks[1]);
  } else {
    s.one.reset();
    write_to(s.blocks[1]);
  }
}

std::vector<std::size_t> sizes_of(const subject& what, bool has_resource) {
  if (!has_resource) return {what.bytes};
  return {0, 1, 7, 8, 15, 16, what.bytes, 48, 64, 100, 255, 256, 257, 512, 1000, 4096, 20'000};
}

// None of it is wrong: whatever is reported here is reported falsely.
void ordinary_work(scene& s) {
  s.give_all_but(nullptr);
  std::pmr::memory_resource* const resource = s.one->resource();
  const auto sizes = sizes_of(s.what, resource != nullptr);
  struct block {
    void* p;
    std::size_t bytes;
    std::size_t alignment;
    unsigned char fill;
  };
  std::vector<block> live;
  const auto give = [&](std::size_t i) {
    const block gone = live[i];
    for (std::size_t b = 0; b < gone.bytes; ++b) {
      if (static_cast<unsigned char*>(gone.p)[b] != gone.fill) {
        std::printf("a block does not hold what was written\n");
        std::exit(1);
      }
    }
    s.one->give(gone.p, gone.bytes, gone.alignment);
    live[i] = live.back();
    live.pop_back();
  };
  std::uint32_t random = 12345;
  for (int i = 0; i < 600; ++i) {
    random = random * 1664525U + 1013904223U;
    if (live.size() < 40 && (random >> 31) == 0) {
      block made{nullptr, sizes[(random >> 8) % sizes.size()], kAlignment, static_cast<unsigned char>(i)};
      if (resource != nullptr) made.alignment = std::size_t{1} << ((random >> 16) % 9);
      made.p = s.one->get(made.bytes, made.alignment);
      if (made.bytes != 0) std::memset(made.p, made.fill, made.bytes);
      live.push_back(made);
    } else if (!live.empty()) {
      give((random >> 8) % live.size());
    }
  }
  while (!live.empty()) give(live.size() / 2);
  if (resource == nullptr) return;
  std::pmr::map<int, std::pmr::string> words(resource);
  for (int i = 0; i < 200; ++i) words[i] = std::string(static_cast<std::size_t>(i), 'x');
  for (int i = 0; i < 200; i += 2) words.erase(i);
}

struct misuse {
  const char* name;
  deed commit;
  bool needs_size = false;  ///< is none where size and alignment do not come with the calls
};

constexpr misuse kMisuses[] = {
    {"write after deallocate", write_after_deallocate},
    {"read after deallocate", read_after_deallocate},
    {"overflow", overflow},
    {"underflow", underflow},
    {"double deallocate", double_deallocate},
    {"wrong size", wrong_size, true},
    {"wrong alignment", wrong_alignment, true},
    {"foreign resource", foreign_resource},
    {"interior pointer", interior_pointer},
    {"uninitialised read", uninitialised_read},
    {"use after release", use_after_release},
    {"ordinary work", ordinary_work},
};

[[noreturn]] void child(const subject& what, const misuse& m, bool watched) {
  const rlimit seconds{6, 7};
  ::setrlimit(RLIMIT_CPU, &seconds);  // whoever goes round in damaged lists is no report
  ::alarm(60);
  {
    scene s(what, watched);
    m.commit(s);
  }
  std::exit(0);
}

void run(const subject& what, const misuse& m, bool watched) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  const pid_t pid = ::fork();
  if (pid < 0) std::abort();
  if (pid == 0) {
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::close(ends[0]);
    ::close(ends[1]);
    child(what, m, watched);
  }
  ::close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], part, sizeof(part))) > 0;) text.append(part, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) std::abort();
  const bool exited = WIFEXITED(status);
  std::printf("== %s / %s / pid %d / %s %d\n", what.name, m.name, pid, exited ? "exit" : "signal",
              exited ? WEXITSTATUS(status) : WTERMSIG(status));
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::printf("| %s\n", text.substr(at, end - at).c_str());
    at = end + 1;
  }
  std::fflush(stdout);  // or the next child has it, too
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view flag = argc > 1 ? argv[1] : "";
  if (flag == "--build") {
#ifdef NDEBUG
    constexpr const char* otherwise = "plain";
#else
    constexpr const char* otherwise = "checked";
#endif
    std::puts(strata::test::under_asan ? "asan" : otherwise);
    return 0;
  }
  const bool watched = flag == "--watched";
  // What malloc takes back stays mapped: a machine's fault is not what is looked for. No core files.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const rlimit none{};
  ::setrlimit(RLIMIT_CORE, &none);
  (void)sp::report_faults();
  for (const subject& what : all_subjects()) {
    if (watched && what.open_watched == nullptr) continue;
    for (const misuse& m : kMisuses) {
      if (m.needs_size && !what.is_sized) {
        std::printf("== %s / %s / cannot be\n", what.name, m.name);
      } else {
        run(what, m, watched);
      }
    }
  }
}
