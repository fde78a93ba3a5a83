// SPDX-License-Identifier: Apache-2.0
module;
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

module tools:input.impl;

import :input;

namespace tools {

input::input(const char* name)
    : name_(name == std::string_view("-") ? "standard input" : name),
      stream_(name == std::string_view("-") ? stdin : std::fopen(name, "re")),
      error_(stream_ == nullptr ? errno : 0) {}

input::~input() {
  if (stream_ != nullptr && stream_ != stdin) std::fclose(stream_);
}

}  // namespace tools
