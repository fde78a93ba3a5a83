// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace strata::test {

/// Pages in the pool of 2 MiB pages while it lives, where the test may set them aside; afterwards the pool is as
/// before. A machine may not have that many in one piece.
class huge_pool {
 public:
  static constexpr std::size_t page = std::size_t{2} << 20;

  explicit huge_pool(std::size_t pages) : before_(read("nr_hugepages")) {
    if (read("free_hugepages") >= pages) return;
    write(before_ + pages);
  }
  ~huge_pool() {
    if (read("nr_hugepages") != before_) write(before_);
  }
  huge_pool(const huge_pool&) = delete;
  huge_pool& operator=(const huge_pool&) = delete;

  /// Pages nobody has.
  [[nodiscard]] static std::size_t free_pages() { return read("free_hugepages"); }

 private:
  static std::string file(const char* name) { return std::string("/sys/kernel/mm/hugepages/hugepages-2048kB/") + name; }
  static std::size_t read(const char* name) {
    std::size_t count = 0;
    std::ifstream(file(name)) >> count;
    return count;
  }
  static void write(std::size_t count) { std::ofstream(file("nr_hugepages")) << count; }

  std::size_t before_;
};

}  // namespace strata::test
