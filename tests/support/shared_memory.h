// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace strata::test {

/// SysV segments in the whole system that a process made and that are not gone.
inline std::size_t segments_made_by(pid_t who) {
  std::ifstream file("/proc/sysvipc/shm");  // key id mode size maker …
  std::string line;
  std::getline(file, line);
  std::size_t count = 0;
  while (std::getline(file, line)) {
    int maker = 0;
    if (std::sscanf(line.c_str(), "%*d %*d %*o %*u %d", &maker) == 1 && maker == who) ++count;
  }
  return count;
}

/// Descriptors this process has open, the one for counting included.
inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// A name for a shared object that no other test has, nor one that was killed. A number of the process is not enough:
/// tests in sandboxes have the same ones.
inline std::string object_of_this_process(const char* what) {
  static const unsigned token = std::random_device{}();
  return "/strata-test-" + std::to_string(::getpid()) + "-" + std::to_string(token) + "-" + what;
}

/// Whether there is an object of that name, without opening it.
inline bool object_exists(const std::string& name) { return std::filesystem::exists("/dev/shm" + name); }

/// Runs `body` in a child; its answer is the child's, 1000 and more for a signal.
template <typename Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace strata::test
