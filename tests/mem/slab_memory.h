// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace strata::test {

/// Memory for spans, given back at the end of a test.
class span_memory {
 public:
  explicit span_memory(std::size_t bytes) : bytes_(bytes) {}
  void* get() {
    auto* const p = static_cast<std::byte*>(::operator new(bytes_, std::align_val_t{bytes_}));
    taken_.emplace_back(p, deleter{bytes_});
    return p;
  }

 private:
  struct deleter {
    std::size_t bytes;
    void operator()(std::byte* p) const { ::operator delete(p, bytes, std::align_val_t{bytes}); }
  };
  std::size_t bytes_;
  std::vector<std::unique_ptr<std::byte, deleter>> taken_;
};

}  // namespace strata::test
