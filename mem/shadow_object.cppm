// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:shadow_object;

import :page_run;

import strata.platform;

/// The memory of a shadow pool: shared memory without a name, which can be mapped as often as one likes.
///
///   | piece | piece | given back | piece | not given away yet: costs nothing …      |
///
/// It is made as large as it may become, and its size is sealed. Pieces are given away front to back, each once; what goes
/// back to the OS leaves a hole. A child of fork() would share it with its parent, so it is copied, piece by piece, into a
/// twin.
///
/// With AddressSanitizer pieces are also mapped in a *window*, which is a root of LeakSanitizer: a block may be all that
/// points to one of malloc's, and where blocks are used LeakSanitizer would die of the guards. Without room for a window,
/// and beyond it, there is none.
///
/// One thread at a time; nothing throws; system calls.
export namespace strata::mem {

class shadow_object {
 public:
  /// What take() says when the object cannot be so large.
  static constexpr std::uint64_t no_offset = UINT64_MAX;

  shadow_object() = default;
  ~shadow_object() { close(); }
  shadow_object(const shadow_object&) = delete;
  /// The other one is none afterwards.
  shadow_object& operator=(shadow_object&& other) noexcept;

  /// Makes it, under a name that the OS's tools show, or says why not. Pre: is_there() is false.
  [[nodiscard]] os_error make(const char* name) noexcept;
  /// As large as another one, with the same pieces given away, all of them blank. Pre: as make().
  [[nodiscard]] os_error make_twin(const shadow_object& other, const char* name) noexcept;
  void close() noexcept;

  [[nodiscard]] inline bool is_there() const noexcept { return descriptor_ >= 0; }

  /// Gives a piece away: where it begins. Pre: whole pages.
  [[nodiscard]] std::uint64_t take(std::uint64_t bytes) noexcept;
  /// The piece that was given away last was not needed.
  inline void take_back(std::uint64_t offset) noexcept { end_ = offset; }
  /// What refuses when take() does.
  [[nodiscard]] static os_error too_small() noexcept;

  /// Maps a piece over reserved addresses.
  [[nodiscard]] os_error map(std::uint64_t offset, std::size_t bytes, void* where) const noexcept;
  /// Gives the memory of a piece back to the OS. Where it is mapped, it reads as zero then.
  [[nodiscard]] os_error give_back(std::uint64_t offset, std::size_t bytes) const noexcept;

  /// Copies pieces of one object to its twin, through views of both.
  class copier {
   public:
    copier(const shadow_object& from, const shadow_object& to) noexcept;
    ~copier();
    copier(const copier&) = delete;
    copier& operator=(const copier&) = delete;

    /// False when the OS refuses, or there is no memory for it.
    [[nodiscard]] bool copy(std::uint64_t offset, std::size_t bytes) noexcept;

   private:
    const shadow_object& from_;
    const shadow_object& to_;
    void* view_;
  };

 private:
  void open_window() noexcept;
  void close_window() noexcept;
  void show_in_window(std::uint64_t offset, std::uint64_t bytes) const noexcept;
  [[nodiscard]] os_error make_of(std::uint64_t largest, std::uint64_t smallest, const char* name) noexcept;

  int descriptor_ = -1;
  std::uint64_t end_ = 0;   ///< bytes given away so far
  std::uint64_t size_ = 0;  ///< bytes
  std::byte* window_ = nullptr;
};

}  // namespace strata::mem
