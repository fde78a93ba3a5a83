// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

export module strata.pmr:handle;

import :heap_options;
import :heap_resource;

/// Objects that a heap may move, held by handles that know where they are.
///
///   auto picture = make_handle<frame>(memory, width, height);   // memory: a heap_resource
///   picture->draw();                                            // wherever it is now
///
/// A handle owns its object, as std::unique_ptr does, and can be moved itself. A pointer got from it holds until the next
/// call of the heap that may compact: compact(), and any that allocates. Where threads share the heap, a `stillness` of
/// it keeps pointers valid.
export namespace strata::pmr {

/// Whether a T may be moved as bytes, without its knowing. True for what is trivially copyable; specialise it for types
/// of which nothing, neither they nor others, holds an address of theirs.
template <class T>
inline constexpr bool is_relocatable = std::is_trivially_copyable_v<T>;

/// An object in movable memory, or none. Thread class: as any object; its heap as it says.
template <class T, class Heap = heap_resource<>>
class handle final : private block_owner {
  static_assert(is_relocatable<T>,
                "strata::pmr::handle: a T that is moved as bytes must be made for it: see is_relocatable");

 public:
  handle() noexcept = default;

  /// Throws what the heap throws, or T's constructor. Pre: `memory` outlives the handle.
  template <class... Arguments>
  explicit handle(std::in_place_t, Heap& memory, Arguments&&... arguments) : memory_(&memory) {
    void* p = memory.allocate_movable(sizeof(T), alignof(T), *this);
    // While T is being made it stays where it is: what its constructor allocates could move it.
    const typename Heap::stillness still(memory);
    if (at_ != nullptr) p = at_;  // moved between the two
    try {
      at_ = ::new (p) T(std::forward<Arguments>(arguments)...);
    } catch (...) {
      at_ = nullptr;
      memory.deallocate(p, sizeof(T), alignof(T));
      throw;
    }
  }

  handle(handle&& other) noexcept { take(other); }
  handle& operator=(handle&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~handle() override { reset(); }

  /// Null for none.
  [[nodiscard]] inline T* get() const noexcept { return at_; }
  [[nodiscard]] inline T& operator*() const noexcept { return *at_; }
  [[nodiscard]] inline T* operator->() const noexcept { return at_; }
  [[nodiscard]] inline explicit operator bool() const noexcept { return at_ != nullptr; }

  /// Destroys the object, if there is one.
  void reset() noexcept {
    if (at_ == nullptr) return;
    const typename Heap::stillness still(*memory_);
    T* const p = std::exchange(at_, nullptr);
    std::destroy_at(p);
    memory_->deallocate(p, sizeof(T), alignof(T));
  }

 private:
  inline void moved(void* /*from*/, void* to) noexcept override { at_ = std::launder(static_cast<T*>(to)); }

  inline void take(handle& other) noexcept {
    if (other.at_ == nullptr) return;
    memory_ = other.memory_;
    const typename Heap::stillness still(*memory_);
    at_ = std::exchange(other.at_, nullptr);
    memory_->set_owner(at_, *this);
  }

  Heap* memory_ = nullptr;
  T* at_ = nullptr;
};

/// A T in `memory`, made of the arguments.
template <class T, class Heap, class... Arguments>
[[nodiscard]] handle<T, Heap> make_handle(Heap& memory, Arguments&&... arguments) {
  return handle<T, Heap>(std::in_place, memory, std::forward<Arguments>(arguments)...);
}

}  // namespace strata::pmr
