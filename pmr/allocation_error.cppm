// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <new>

export module strata.pmr:allocation_error;

import strata.mem;

/// Why a layer could not serve a request: the std::bad_alloc that Strata throws.
///
/// Holds the layer, the request and, where the OS refused, which call and which errno. Its text is built in place,
/// without allocating. Copies are noexcept, as the standard asks of exceptions.
export namespace strata::pmr {

/// What an allocator that cannot grow has left, bytes.
struct room {
  std::size_t free;     ///< in all
  std::size_t largest;  ///< in one piece
};

class allocation_error : public std::bad_alloc {
 public:
  /// `layer` and `reason` are literals or outlive the exception; sizes in bytes.
  allocation_error(const char* layer, std::size_t bytes, std::size_t alignment, const char* reason,
                   mem::os_error cause = {}) noexcept;

  /// The same where there is some room, but not enough.
  allocation_error(const char* layer, std::size_t bytes, std::size_t alignment, const char* reason, room left) noexcept;

  /// One sentence: layer, size, alignment, reason, errno by name, or room.
  [[nodiscard]] const char* what() const noexcept override;

  [[nodiscard]] inline const char* layer() const noexcept { return layer_; }
  [[nodiscard]] inline std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] inline std::size_t alignment() const noexcept { return alignment_; }

  /// errno of the call that failed; 0 when no system call was to blame.
  [[nodiscard]] inline int os_code() const noexcept { return cause_.code; }
  /// Name of the call that failed; null when no system call was to blame.
  [[nodiscard]] inline const char* os_call() const noexcept { return cause_.call; }

 private:
  const char* layer_;
  std::size_t bytes_;
  std::size_t alignment_;
  mem::os_error cause_;
  char text_[232];
};

}  // namespace strata::pmr
