// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

module bench:child.posix;

import :child;
import :outcome;

namespace bench {
namespace {

outcome failed(std::string why) { return {outcome::kind::failed, {}, std::move(why)}; }

/// glibc: lets libraries whose thread-local variables lie at fixed offsets be opened at run time.
constexpr std::string_view kTunables = "GLIBC_TUNABLES=";
constexpr std::string_view kStaticTls = "glibc.rtld.optional_static_tls=16384";

/// This process's environment, with room for such libraries.
std::vector<std::string> environment() {
  std::vector<std::string> variables;
  std::string tunables(kTunables);
  for (char** v = environ; *v != nullptr; ++v) {
    const std::string_view variable = *v;
    if (variable.starts_with(kTunables)) {
      tunables = std::string(variable) + ":";
    } else {
      variables.emplace_back(variable);
    }
  }
  variables.push_back(tunables + std::string(kStaticTls));
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

std::string read_all(int file) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(file, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

/// Empty when the child ended well.
std::string ending(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::strerror(errno);
  }
  if (WIFSIGNALED(status)) return std::string("killed: ") + ::strsignal(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "exit status " + std::to_string(WEXITSTATUS(status));
  return {};
}

}  // namespace

outcome run_child(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed(std::strerror(errno));
  std::vector<std::string> arguments = command;
  std::vector<std::string> variables = environment();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, arguments[0].c_str(), &actions, nullptr, pointers(arguments).data(),
                                  pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  const std::string line = error == 0 ? read_all(ends[0]) : std::string();
  ::close(ends[0]);
  if (error != 0) return failed(std::strerror(error));
  const std::string bad = ending(child);
  return bad.empty() ? from_line(line) : failed(bad);
}

}  // namespace bench
