// SPDX-License-Identifier: Apache-2.0
// A program with the runtime of -fsanitize=thread, as far as the library can tell, over a library built without. For mixed_build_test.py: it has no
// business to reach its first line.
#include <cstdio>

import strata.mem;

extern "C" void __tsan_init();
extern "C" void __tsan_init() {}

int main() {
  std::printf("reached %d\n", strata::mem::inspected() ? 1 : 0);
  return 0;
}
