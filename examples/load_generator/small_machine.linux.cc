// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>

module load_generator:small_machine.linux;

import :small_machine;

namespace load_generator {
namespace {

/// Bytes this process has mapped; 0 if unknown.
std::size_t mapped() {
  std::size_t pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%zu", &pages) != 1) pages = 0;
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

int in_small_machine(std::size_t bytes, const std::function<int()>& work) {
  std::fflush(nullptr);  // or both would print it
  const pid_t child = ::fork();
  if (child == 0) {
    const std::size_t has = mapped();
    const rlimit limit{has + bytes, has + bytes};
    if (has == 0 || ::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(EXIT_FAILURE);
    const int status = work();
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace load_generator
