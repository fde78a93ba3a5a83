// SPDX-License-Identifier: Apache-2.0
module;
#include <cmath>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"

module bench:json.impl;

import :json;

namespace bench {

void json_writer::open(char bracket) {
  separate();
  text_ += bracket;
}

void json_writer::close(char bracket) { text_ += bracket; }

void json_writer::key(std::string_view name) {
  separate();
  quote(name);
  text_ += ": ";
}

void json_writer::value(std::string_view text) {
  separate();
  quote(text);
}

void json_writer::value(double number) {
  if (!std::isfinite(number)) return null();
  separate();
  absl::StrAppendFormat(&text_, "%.6g", number);
}

void json_writer::value(bool truth) {
  separate();
  text_ += truth ? "true" : "false";
}

void json_writer::null() {
  separate();
  text_ += "null";
}

// A value comes after its key, or first in its brackets, or after another; each on a line of its own but for that.
void json_writer::separate() {
  if (text_.empty() || text_.ends_with(": ")) return;
  const char last = text_.back();
  text_ += last == '{' || last == '[' ? "\n" : ",\n";
}

void json_writer::quote(std::string_view text) {
  text_ += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&text_, "\\u%04x", static_cast<unsigned>(c));
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

}  // namespace bench
