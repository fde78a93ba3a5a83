// SPDX-License-Identifier: Apache-2.0
// Takes all the memory a machine has, and lives to tell: what it knows lies in a pool it made at the start, from which
// everything is served when malloc has not one byte left.
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory_resource>
#include <new>
#include <string_view>

import load_generator;
import strata.pmr;
namespace sp = strata::pmr;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t machine_bytes = 256 * mib;
constexpr std::size_t largest = mib;  // bytes of a block

using load_generator::statistics;

// Ever smaller blocks, until malloc has none of the smallest. Never more than the machine has, should malloc not notice.
void drive_to_the_limit(load_generator::load& taken, statistics& seen) {
  for (std::size_t bytes = largest; bytes >= load_generator::load::smallest; bytes /= 2) {
    bool got = true;
    while (got && taken.bytes() < machine_bytes) {
      const auto before = statistics::clock::now();
      got = taken.take(bytes);
      seen.asked(bytes, got, statistics::clock::now() - before);
    }
    std::array<char, 80> event{};
    std::snprintf(event.data(), event.size(), "no more blocks of %zu bytes; %zu until now", bytes, taken.blocks());
    seen.note(event.data());
  }
}

void generate(statistics& seen) {
  seen.note("begin");
  load_generator::load taken;
  drive_to_the_limit(taken, seen);

  void* volatile byte = std::malloc(1);
  seen.note(byte == nullptr ? "malloc(1) is refused" : "malloc(1) is served");
  std::free(byte);

  // Nothing is left, but for what is to be said.
  std::printf("load: %zu blocks, %.1f of %zu MiB\n", taken.blocks(),
              static_cast<double>(taken.bytes()) / static_cast<double>(mib), machine_bytes / mib);
  seen.print(stdout);
}

int generate_with_pool() {
  sp::stack pool{sp::pages{}, sp::locked{.strict = false}, sp::mempool{.segment_bytes = mib}};
  statistics seen(&pool);
  generate(seen);
  pool.write_report(stdout);
  return EXIT_SUCCESS;
}

int generate_with_heap() {
  try {
    statistics seen(std::pmr::new_delete_resource());
    generate(seen);
    return EXIT_SUCCESS;
  } catch (const std::bad_alloc& e) {
    std::printf("the statistics are lost: %s\n", e.what());
    return EXIT_FAILURE;
  }
}

}  // namespace

int main(int argc, char** argv) {
  // A stream without one would ask malloc for a buffer.
  static std::array<char, BUFSIZ> buffer;
  std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());

  const std::string_view where = argc > 1 ? argv[1] : "pool";
  if (argc > 2 || (where != "pool" && where != "heap")) {
    std::fprintf(stderr, "load_generator [pool|heap]: where its statistics are; pool unless given\n");
    return 2;
  }
  return load_generator::in_small_machine(machine_bytes, where == "pool" ? generate_with_pool : generate_with_heap);
}
