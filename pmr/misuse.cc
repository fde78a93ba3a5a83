// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdio>
#include <cstdlib>

module strata.pmr:misuse.impl;

import :misuse;

namespace strata::pmr {

namespace {

[[noreturn]] void print_and_abort(const misuse& what) {
  char line[320];
  if (what.pointer != nullptr) {
    std::snprintf(line, sizeof(line), "strata: %s: %s (block %p, %zu bytes aligned to %zu)\n", what.layer,
                  what.sentence, what.pointer, what.bytes, what.alignment);
  } else {
    std::snprintf(line, sizeof(line), "strata: %s: %s\n", what.layer, what.sentence);
  }
  std::fputs(line, stderr);
  std::abort();
}

constinit std::atomic<misuse_handler> current{&print_and_abort};

}  // namespace

misuse_handler set_misuse_handler(misuse_handler handler) noexcept {
  return current.exchange(handler == nullptr ? &print_and_abort : handler);
}

void report_misuse(const misuse& what) noexcept { current.load()(what); }

}  // namespace strata::pmr
