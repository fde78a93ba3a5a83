// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

export module strata.pmr:misuse;

import :call_stack;
import :text_sink;

/// What a layer does when it is used wrongly: it says so, in one sentence, to a handler that by default prints and
/// aborts.
///
/// A misuse is a fault of the program, not a state of memory: it is never an exception, unless a layer was told to make
/// it one. The layer has not changed anything when it reports, so a handler that returns leaves it usable: the call in
/// question then has no effect. Reporting allocates nothing and holds no lock, but that of a synchronized_adaptor that the
/// call came through, which the thread of the handler passes. So a handler may use any memory, that one too.
export namespace strata::pmr {

/// What is known of a block that a misuse is about.
struct block_trace {
  const void* pointer = nullptr;
  std::size_t bytes = 0;      ///< as allocated
  std::size_t alignment = 0;  ///< as allocated
  std::uint64_t number = 0;   ///< of the call that allocated it; 0: not known
  call_site allocated{};
  call_site freed{};  ///< thread 0: it was not
};

struct misuse {
  const char* layer;              ///< name of the layer that noticed
  const char* sentence;           ///< what is wrong; one distinct sentence for each kind of misuse
  const void* pointer = nullptr;  ///< the block in question, if any
  std::size_t bytes = 0;          ///< size as passed by the caller
  std::size_t alignment = 0;      ///< alignment as passed by the caller

  // From here on, only what the layer knows. All of it is valid during the report.
  std::uint32_t thread = 0;               ///< that called, as this_thread_serial()
  const char* detail = nullptr;           ///< ends the sentence: who else, or what was found below
  const void* where = nullptr;            ///< the byte that is not as it should be
  std::size_t count = 0;                  ///< blocks concerned, of `bytes` in all, where that is more than `pointer`
  std::span<const block_trace> blocks{};  ///< what is known of the block, or of the first few of `count`
};

/// Must not throw: that ends the process.
using misuse_handler = void (*)(const misuse&);

/// Replaces the handler for the whole process and returns the one before. Null restores the default. Any thread, any
/// time.
misuse_handler set_misuse_handler(misuse_handler handler) noexcept;

/// Hands `what` to the handler. For layers, also those written by users.
void report_misuse(const misuse& what) noexcept;

/// Writes the sentence, then what is known of the blocks and their stacks, as the default handler does before it aborts.
/// For handlers.
void print_misuse(const misuse& what, const text_sink& to = {}) noexcept;

/// A misuse as an exception, of a layer that was told to throw. Made without allocating; it keeps the sentence, no block.
class misuse_error : public std::exception {
 public:
  explicit misuse_error(const misuse& what) noexcept;

  /// As printed, in one line.
  [[nodiscard]] const char* what() const noexcept override;
  [[nodiscard]] inline const char* layer() const noexcept { return layer_; }
  [[nodiscard]] inline const char* sentence() const noexcept { return sentence_; }
  [[nodiscard]] inline const void* pointer() const noexcept { return pointer_; }

 private:
  const char* layer_;
  const char* sentence_;
  const void* pointer_;
  char text_[320];
};

}  // namespace strata::pmr
