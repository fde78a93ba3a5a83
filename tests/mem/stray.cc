// SPDX-License-Identifier: Apache-2.0
// Touches memory in the way its argument says, for stray_test.py.
#include <cstddef>
#include <cstdio>
#include <string_view>

import strata.mem;

namespace {

alignas(16) unsigned char memory[64] = {1, 2, 3};
volatile unsigned char* volatile bytes = memory;  // where it points to, no compiler knows

void hide_some() { strata::mem::hide(memory + 16, 16); }

// All that may be done. Returns 0.
int behave() {
  hide_some();
  int odd = bytes[15] + bytes[32] == 255 ? 1 : 0;
  if (!strata::mem::is_hidden(memory + 16, 16)) odd = 1;
  {
    unsigned char copy = 0;
    const strata::mem::look allowed;
    strata::mem::move_hidden(&copy, memory + 20, 1);
    if (copy == 255) odd = 1;
  }
  strata::mem::show_as_is(memory + 16, 16);
  if (bytes[16] == 255) odd = 1;
  return odd;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view what = count > 1 ? arguments[1] : "";
  if (what == "behave") return behave();
  hide_some();
  if (what == "read_hidden") return bytes[16] == 255 ? 1 : 0;
  if (what == "write_hidden") {
    bytes[31] = 1;
  } else if (what == "decide_by_shown") {
    strata::mem::show(memory + 16, 16);
    if (bytes[17] == 7) std::puts("seven");
  } else {
    std::fputs("stray: what?\n", stderr);
    return 2;
  }
  return 0;
}
