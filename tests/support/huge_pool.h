// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace strata::test {

/// Pages in a pool of large pages while it lives, where the test may set them aside; afterwards the pool is as before.
/// A machine may not have that many in one piece.
class huge_pool {
 public:
  static constexpr std::size_t page = std::size_t{2} << 20;

  explicit huge_pool(std::size_t pages, std::size_t page_bytes = page)
      : page_bytes_(page_bytes), before_(read(page_bytes, "nr_hugepages")) {
    if (free_pages(page_bytes) < pages) write(before_ + pages);
  }
  ~huge_pool() {
    if (read(page_bytes_, "nr_hugepages") != before_) write(before_);
  }
  huge_pool(const huge_pool&) = delete;
  huge_pool& operator=(const huge_pool&) = delete;

  /// Pages nobody has.
  [[nodiscard]] static std::size_t free_pages(std::size_t page_bytes = page) {
    return read(page_bytes, "free_hugepages");
  }

 private:
  static std::string file(std::size_t page_bytes, const char* name) {
    return "/sys/kernel/mm/hugepages/hugepages-" + std::to_string(page_bytes / 1024) + "kB/" + name;
  }
  static std::size_t read(std::size_t page_bytes, const char* name) {
    std::size_t count = 0;
    std::ifstream(file(page_bytes, name)) >> count;
    return count;
  }
  void write(std::size_t count) const { std::ofstream(file(page_bytes_, "nr_hugepages")) << count; }

  std::size_t page_bytes_;
  std::size_t before_;
};

}  // namespace strata::test
