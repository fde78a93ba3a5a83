// SPDX-License-Identifier: Apache-2.0
// A library that has Strata inside, for a program that has not: unload_test opens and closes it.
#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <string>
#include <unordered_map>

import strata.pmr;

namespace sp = strata::pmr;

namespace {

auto& static_memory() {
  static sp::stack made{sp::pages{}, sp::slabs{.name = "module"}};
  return made;
}

// Of caches, locks, fragments and slabs: something of everything that knows threads.
int use(std::pmr::memory_resource& memory) {
  std::pmr::unordered_map<int, std::pmr::string> words(&memory);
  for (int i = 0; i < 500; ++i) words[i] = std::string(static_cast<std::size_t>(i % 90), 'x');
  for (int i = 0; i < 500; i += 2) words.erase(i);
  return static_cast<int>(words.size());
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] int use_static_stack() { return use(static_memory()); }

[[gnu::visibility("default")]] int use_own_stacks() {
  sp::stack one{sp::pages{}, sp::slabs{}};
  sp::stack two{sp::pages{}, sp::cache{.item_bytes = 64}};
  sp::stack three{sp::pages{}, sp::mempool{.segment_bytes = std::size_t{1} << 20}};
  return use(one) + use(two) + use(three);
}

/// Nothing of it is known to a thread: the library can go.
[[gnu::visibility("default")]] int use_stack_without_caches() {
  static sp::stack memory{sp::pages{}, sp::heap{}, sp::synchronized{}};
  return use(memory);
}

[[gnu::visibility("default")]] void* take_block(std::size_t bytes) {
  void* const p = static_memory().allocate(bytes);
  std::memset(p, 0x5A, bytes);
  return p;
}
[[gnu::visibility("default")]] void give_block(void* p, std::size_t bytes) { static_memory().deallocate(p, bytes); }
[[gnu::visibility("default")]] std::size_t live_blocks() { return static_memory().top().stats().live_blocks; }

/// A block that is never given back, of a source that wants all back.
[[gnu::visibility("default")]] void leave_a_block_behind() {
  static sp::page_resource memory{{.name = "forgetful"}};
  static_cast<void>(memory.allocate(4096));
}
}
