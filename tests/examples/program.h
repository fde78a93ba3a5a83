// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_EXAMPLES_PROGRAM_H_
#define STRATA_TESTS_EXAMPLES_PROGRAM_H_

#include <stdio.h>
#include <sys/wait.h>

#include <cstddef>
#include <string>
#include <string_view>

struct outcome {
  int status = -1;   ///< exit status; -1 when it did not exit
  std::string text;  ///< what it said on either stream
};

/// Runs a program of this workspace to its end; the command goes through the shell.
inline outcome run_program(const std::string& command) {
  outcome result;
  std::FILE* output = ::popen((command + " 2>&1").c_str(), "r");
  if (output == nullptr) return result;
  for (int byte = std::fgetc(output); byte != EOF; byte = std::fgetc(output)) result.text += static_cast<char>(byte);
  const int status = ::pclose(output);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

/// How often `piece` stands in `text`.
inline std::size_t count(std::string_view text, std::string_view piece) {
  std::size_t times = 0;
  for (std::size_t at = text.find(piece); at != std::string_view::npos; at = text.find(piece, at + 1)) ++times;
  return times;
}

#endif  // STRATA_TESTS_EXAMPLES_PROGRAM_H_
