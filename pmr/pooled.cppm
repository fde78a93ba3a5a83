// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <string_view>

export module strata.pmr:pooled;

import :object_pool;

import strata.mem;

/// Gives a class operator new and delete of its own, out of one pool for the whole program.
///
///     class node : public pooled<node> { … };
///     class rare : public pooled<rare, 1000> { … };     what was of no use for 1000 ms goes back
///
/// What comes from the pool    single objects of exactly the size of T, no more aligned than T
/// What does not               derived classes of another size, and all arrays: the global operator new
/// Lifetime                    made at first use, never destroyed: objects may be made and deleted by constructors and
///                             destructors of static objects, in any order
/// Thread safety               any thread
/// Name                        pooled<T>, with T as the compiler spells it
/// Throws                      std::bad_alloc; the nothrow forms return null
/// Giving back                 pool().trim(); with DecayMs what was of no use for so long goes back, as named_cache has it:
///                             when a thread's cache runs dry or over, and at pool().tick()
/// Deleting                    a second time is misuse (named_cache says which). Deleting a derived object through a
///                             pointer to T asks for a virtual destructor, as always
export namespace strata::pmr {

template <class T, std::size_t DecayMs = mem::no_decay>
class pooled {
 public:
  /// The pool of T: for its figures, and to expand it ahead.
  [[nodiscard]] static object_pool<T>& pool() {
    static_assert(sizeof(T) <= std::size_t{128} << 20, "strata::pmr::pooled: no chunk can hold such objects");
    // Never destroyed, hence a place rather than an object.
    alignas(object_pool<T>) static std::byte place[sizeof(object_pool<T>)];
    static constexpr auto name = spell();
    static auto* const made =
        ::new (place) object_pool<T>(std::pmr::new_delete_resource(), {.name = name.data(), .decay_ms = DecayMs});
    return *made;
  }

  [[nodiscard]] static void* operator new(std::size_t bytes) {
    return bytes == sizeof(T) ? pool().request() : ::operator new(bytes);
  }
  [[nodiscard]] static void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return is_item(bytes, alignment) ? pool().request() : ::operator new(bytes, alignment);
  }
  [[nodiscard]] static void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
    return null_if_none([=] { return operator new(bytes); });
  }
  [[nodiscard]] static void* operator new(std::size_t bytes, std::align_val_t alignment,
                                          const std::nothrow_t& /*tag*/) noexcept {
    return null_if_none([=] { return operator new(bytes, alignment); });
  }

  static void operator delete(void* p, std::size_t bytes) noexcept {
    bytes == sizeof(T) ? pool().recycle(p) : ::operator delete(p, bytes);
  }
  static void operator delete(void* p, std::size_t bytes, std::align_val_t alignment) noexcept {
    is_item(bytes, alignment) ? pool().recycle(p) : ::operator delete(p, bytes, alignment);
  }
  // For a constructor that throws behind a nothrow new: no size comes with these.
  static void operator delete(void* p, const std::nothrow_t& /*tag*/) noexcept {
    pool().is_live(p) ? pool().recycle(p) : ::operator delete(p);
  }
  static void operator delete(void* p, std::align_val_t alignment, const std::nothrow_t& /*tag*/) noexcept {
    pool().is_live(p) ? pool().recycle(p) : ::operator delete(p, alignment);
  }

  // Arrays, declared so that the whole family stands here.
  [[nodiscard]] static void* operator new[](std::size_t bytes) { return ::operator new[](bytes); }
  [[nodiscard]] static void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return ::operator new[](bytes, alignment);
  }
  [[nodiscard]] static void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept {
    return ::operator new[](bytes, tag);
  }
  [[nodiscard]] static void* operator new[](std::size_t bytes, std::align_val_t alignment,
                                            const std::nothrow_t& tag) noexcept {
    return ::operator new[](bytes, alignment, tag);
  }
  static void operator delete[](void* p) noexcept { ::operator delete[](p); }
  static void operator delete[](void* p, std::align_val_t alignment) noexcept { ::operator delete[](p, alignment); }
  static void operator delete[](void* p, const std::nothrow_t& tag) noexcept { ::operator delete[](p, tag); }
  static void operator delete[](void* p, std::align_val_t alignment, const std::nothrow_t& tag) noexcept {
    ::operator delete[](p, alignment, tag);
  }

  // A class with an operator new hides these.
  [[nodiscard]] static void* operator new(std::size_t /*bytes*/, void* place) noexcept { return place; }
  static void operator delete(void* /*p*/, void* /*place*/) noexcept {}
  [[nodiscard]] static void* operator new[](std::size_t /*bytes*/, void* place) noexcept { return place; }
  static void operator delete[](void* /*p*/, void* /*place*/) noexcept {}

 protected:
  pooled() = default;
  pooled(const pooled&) = default;
  pooled& operator=(const pooled&) = default;
  ~pooled() = default;

 private:
  // "pooled<node>", the type as the compiler spells it: it spells this function "… [T = node, DecayMs = …]".
  [[nodiscard]] static consteval auto spell() noexcept {
    constexpr std::string_view function = __PRETTY_FUNCTION__;
    constexpr std::string_view before = "[T = ";
    constexpr std::size_t start = function.find(before) + before.size();
    constexpr std::string_view type = function.substr(start, function.rfind(", DecayMs = ") - start);
    std::array<char, sizeof "pooled<>" + type.size()> name{};
    char* end = std::ranges::copy(std::string_view("pooled<"), name.data()).out;
    end = std::ranges::copy(type, end).out;
    *end = '>';
    return name;
  }

  [[nodiscard]] static bool is_item(std::size_t bytes, std::align_val_t alignment) noexcept {
    return bytes == sizeof(T) && static_cast<std::size_t>(alignment) <= alignof(T);
  }

  template <class Request>
  [[nodiscard]] static void* null_if_none(const Request& request) noexcept {
    try {
      return request();
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
};

}  // namespace strata::pmr
