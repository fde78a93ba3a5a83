// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <new>

export module strata.pmr:pooled;

import :object_pool;

/// Gives a class operator new and delete of its own, out of one pool for the whole program.
///
///     class node : public pooled<node> { … };
///
/// What comes from the pool    single objects of exactly the size of T, no more aligned than T
/// What does not               derived classes of another size, and all arrays: the global operator new
/// Lifetime                    made at first use, never destroyed: objects may be made and deleted by constructors and
///                             destructors of static objects, in any order
/// Thread safety               any thread
/// Throws                      std::bad_alloc; the nothrow forms return null
/// Deleting                    a second time is misuse (named_cache says which). Deleting a derived object through a
///                             pointer to T asks for a virtual destructor, as always
export namespace strata::pmr {

template <class T>
class pooled {
 public:
  /// The pool of T: for its figures, and to expand it ahead.
  [[nodiscard]] static object_pool<T>& pool() {
    static_assert(sizeof(T) <= std::size_t{128} << 20, "strata::pmr::pooled: no chunk can hold such objects");
    // Never destroyed, hence a place rather than an object.
    alignas(object_pool<T>) static std::byte place[sizeof(object_pool<T>)];
    static auto* const made = ::new (place) object_pool<T>(std::pmr::new_delete_resource(), {.name = "pooled"});
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
