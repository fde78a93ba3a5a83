// SPDX-License-Identifier: Apache-2.0
#include "tests/support/heap_count.h"

#include <cstdlib>

namespace strata::test {
namespace {

// initial-exec: the counters are touched inside malloc, where asking the loader for thread-local memory would come back
// to malloc.
[[gnu::tls_model("initial-exec")]] constinit thread_local heap_use used;
[[gnu::tls_model("initial-exec")]] constinit thread_local int paused = 0;

void count(std::size_t& counter) noexcept {
  if (paused == 0) ++counter;
}

}  // namespace

heap_use heap_used_by_this_thread() noexcept { return used; }

bool heap_is_watched() noexcept {
  const heap_use before = used;
  const int pauses = paused;
  paused = 0;
  void* volatile probe = std::malloc(1);  // volatile: a malloc nobody looks at may be left out
  std::free(probe);
  const bool seen = used.malloc != before.malloc;
  paused = pauses;
  used = before;
  return seen;
}

uncounted::uncounted() noexcept { ++paused; }
uncounted::~uncounted() { --paused; }

void count_default_resource() noexcept { count(used.default_resource); }
void count_operator_new() noexcept { count(used.operator_new); }
void count_malloc() noexcept { count(used.malloc); }

}  // namespace strata::test
