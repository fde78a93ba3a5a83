// SPDX-License-Identifier: Apache-2.0
module;
#include <functional>
#include <type_traits>
#include <utility>

export module strata.pmr:immortal;

/// An object that is made when it is first come by and never destroyed, as GCC's own global resources are: for a stack
/// that must serve whatever runs while the process ends, static and thread_local destructors, atexit() and threads that
/// are still under way.
///
///   stack_type& memory() {
///     static sp::immortal made([] { return sp::stack{sp::pages{}, sp::slabs{}}; });
///     return *made;
///   }
///
/// It lies in place: nothing is allocated for it. What it holds is the OS's to take back, and no leak is reported. At
/// namespace scope it is made with the other objects of its file, which may be too late for those of another: a function
/// as above is never too late.
export namespace strata::pmr {

template <class T>
class immortal {
 public:
  /// Makes it as `make()` returns it: in place, without a move.
  template <class Make>
    requires(std::is_invocable_r_v<T, Make> && !std::is_same_v<std::remove_cvref_t<Make>, immortal>)
  inline explicit immortal(Make&& make) : value_(std::invoke(std::forward<Make>(make))) {}
  inline ~immortal() {}
  immortal(const immortal&) = delete;
  immortal& operator=(const immortal&) = delete;

  [[nodiscard]] inline T& operator*() noexcept { return value_; }
  [[nodiscard]] inline T* operator->() noexcept { return &value_; }
  [[nodiscard]] inline T* get() noexcept { return &value_; }

 private:
  // A union does not destroy what is in it.
  union {
    T value_;
  };
};

template <class Make>
immortal(Make) -> immortal<std::invoke_result_t<Make>>;

}  // namespace strata::pmr
