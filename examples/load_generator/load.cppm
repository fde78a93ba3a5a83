// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdlib>
#include <cstring>

export module load_generator:load;

/// Memory taken from malloc. Each block begins with the address of the one before, so knowing them all takes no memory.
export namespace load_generator {

class load {
 public:
  static constexpr std::size_t smallest = sizeof(void*);  ///< bytes of a block

  load() = default;
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  ~load() {
    while (last_ != nullptr) {
      void* const block = last_;
      std::memcpy(&last_, block, sizeof last_);
      std::free(block);
    }
  }

  /// One block more, all of it written to; false when malloc has none. Pre: bytes >= smallest.
  bool take(std::size_t bytes) noexcept {
    void* const block = std::malloc(bytes);
    if (block == nullptr) return false;
    std::memset(block, 1, bytes);
    std::memcpy(block, &last_, sizeof last_);
    last_ = block;
    ++blocks_;
    bytes_ += bytes;
    return true;
  }

  [[nodiscard]] std::size_t blocks() const noexcept { return blocks_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* last_ = nullptr;
  std::size_t blocks_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace load_generator
