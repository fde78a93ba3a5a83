// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

module index_headers:child.posix;

import :child;
import :measurement;
import :memories;

namespace index_headers {
namespace {

// The child's arguments: this word, the memory's name, the mode, the largest file's size, the dump, and then the queries. Its
// standard input holds the paths, each ended by a NUL. On its standard output come lines: "progress N", "error WHY"
// with C escapes, or one of a measurement's.
constexpr std::string_view kChild = "measure-one-memory";
constexpr std::string_view kModes[] = {"time", "count", "dump"};  // by index_headers::mode
enum argument : int { kKind = 1, kMemory, kMode, kLargest, kDump, kQueries };

struct closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using stream = std::unique_ptr<std::FILE, closer>;

absl::Status os_error(const char* call, int code) {
  return absl::UnavailableError(absl::StrCat(call, ": ", std::strerror(code)));
}

/// The paths in a nameless file, rewound: unlike a pipe, it can neither block both sides nor break.
absl::StatusOr<stream> paths_file(const std::vector<std::string>& paths) {
  stream file(std::tmpfile());
  if (!file) return os_error("tmpfile", errno);
  for (const std::string& path : paths) std::fwrite(path.c_str(), 1, path.size() + 1, file.get());
  if (std::fflush(file.get()) != 0 || ::lseek(::fileno(file.get()), 0, SEEK_SET) < 0) return os_error("tmpfile", errno);
  return file;
}

std::vector<std::string> read_paths(std::FILE* in) {
  std::vector<std::string> paths;
  std::string path;
  for (int byte = std::getc(in); byte != EOF; byte = std::getc(in)) {
    if (byte != '\0') {
      path.push_back(static_cast<char>(byte));
    } else {
      paths.push_back(std::exchange(path, {}));
    }
  }
  return paths;
}

struct process {
  pid_t id = 0;
  stream output;  // its standard output
};

absl::StatusOr<process> start(const std::vector<std::string>& arguments, std::FILE* input) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("pipe", errno);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(input), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  process started;
  const int error = ::posix_spawn(&started.id, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  started.output.reset(::fdopen(ends[0], "r"));
  if (error != 0) return os_error("posix_spawn", error);
  return started;
}

/// How a process ended, when that was not well.
absl::Status ending(pid_t id) {
  int status = 0;
  while (::waitpid(id, &status, 0) < 0) {
    if (errno != EINTR) return os_error("waitpid", errno);
  }
  if (WIFSIGNALED(status)) return absl::AbortedError(absl::StrCat("ended by signal ", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return absl::AbortedError(absl::StrCat("ended with status ", WEXITSTATUS(status)));
  return absl::OkStatus();
}

}  // namespace

bool is_child(int argc, char** argv) { return argc >= kQueries && argv[kKind] == kChild; }

int child_main(int argc, char** argv) {
  work_order order;
  order.where = find_memory(argv[kMemory]);
  const auto* const how = std::find(std::begin(kModes), std::end(kModes), argv[kMode]);
  if (how == std::end(kModes)) return EXIT_FAILURE;
  order.how = static_cast<mode>(how - std::begin(kModes));
  order.dump = argv[kDump];
  if (order.where == nullptr || !absl::SimpleAtoi(argv[kLargest], &order.largest_file)) return EXIT_FAILURE;
  order.queries.assign(argv + kQueries, argv + argc);
  order.files = read_paths(stdin);

  // A process that never had a second thread gets locks that do nothing. Programs have threads: every memory is to pay
  // for its own.
  std::thread([] {}).join();

  const absl::StatusOr<measurement> result = measure(order, [](std::size_t done) {
    std::printf("progress %zu\n", done);
    std::fflush(stdout);
  });
  if (!result.ok()) {
    std::printf("error %s\n", absl::CEscape(result.status().message()).c_str());
  } else {
    write_lines(*result, stdout);
  }
  return std::fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

absl::StatusOr<measurement> measure_in_child(const work_order& order,
                                             const std::function<void(std::size_t)>& progress) {
  const absl::StatusOr<stream> paths = paths_file(order.files);
  if (!paths.ok()) return paths.status();
  std::vector<std::string> arguments{"index_headers",
                                     std::string(kChild),
                                     order.where->name,
                                     std::string(kModes[static_cast<std::size_t>(order.how)]),
                                     std::to_string(order.largest_file),
                                     order.dump};
  arguments.insert(arguments.end(), order.queries.begin(), order.queries.end());
  const absl::StatusOr<process> child = start(arguments, paths->get());
  if (!child.ok()) return child.status();

  measurement result;
  absl::Status failed;
  char* line = nullptr;
  std::size_t room = 0;
  for (ssize_t size = 0; (size = ::getline(&line, &room, child->output.get())) > 0;) {
    std::string_view text(line, static_cast<std::size_t>(size));
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (std::size_t done = 0; text.starts_with("progress ") && absl::SimpleAtoi(line + 9, &done)) {
      progress(done);
    } else if (text.starts_with("error ")) {
      std::string why;
      absl::CUnescape(absl::string_view(text.data() + 6, text.size() - 6), &why);
      failed = absl::AbortedError(why);
    } else if (!parse_line(text, result)) {
      failed = absl::InternalError(absl::StrCat("it said: ", std::string(text)));
    }
  }
  std::free(line);
  const absl::Status end = ending(child->id);
  if (!end.ok()) return end;
  if (!failed.ok()) return failed;
  if (result.files != order.files.size()) return absl::InternalError("it ended without an answer");
  return result;
}

}  // namespace index_headers
