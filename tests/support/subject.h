// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <limits>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "tests/support/own_memory.h"

namespace strata::test {

/// What a memory resource promises beyond the contract every one has. The suite holds it to these.
struct facts {
  /// Any member may be called from any threads at once. The suite then does.
  bool thread_safe = false;
  /// Destruction (and release(), where there is one) gives back every block, live ones included. False for an adaptor
  /// that hands blocks through: the suite then frees all blocks itself, and expects everything back with the last.
  bool returns_everything = true;
  /// Largest alignment honoured, bytes; any above it must be refused with std::bad_alloc. The suite asks for up to 2
  /// MiB.
  std::size_t max_alignment = std::size_t{1} << (std::numeric_limits<std::size_t>::digits - 2);
  /// The suite asks for no more than this at once, bytes, except where it expects refusal.
  std::size_t max_bytes = (std::size_t{1} << 20) + 1;
  /// The suite holds no more than this in random operation, bytes.
  std::size_t max_live_bytes = std::size_t{32} << 20;
  /// Deallocated memory is used again. False for one that only grows: the suite then starts a new one now and then.
  bool reuses_memory = true;
  /// Asks upstream again when it has no room left. False for one that takes all it will ever have when constructed.
  bool grows = true;
  /// Any two instances are equal: a block of one may go back to another.
  bool interchangeable = false;
  /// Calls operator new, malloc or the default resource, when constructed or when asked.
  bool uses_heap = false;
  /// A request that upstream refuses leaves upstream's balance exactly as it was. False for one that gives its reserves
  /// back before it gives up, or keeps in reserve what was granted before the refusal: the suite then only expects that
  /// a second refusal adds nothing.
  bool exact_on_failure = true;
  /// Turns upstream's exception into one of its own, derived from std::bad_alloc.
  bool translates_errors = false;
  /// Refuses sizes no machine has with std::bad_alloc. (Under ASan and TSan the global operator new does not: it ends
  /// the program.)
  bool refuses_impossible_sizes = true;
};

/// The facts a resource class states itself as `static constexpr` members `thread_safe` and `max_alignment`.
template <class Resource>
[[nodiscard]] constexpr facts facts_of(facts known = {}) {
  if constexpr (requires {
                  { Resource::thread_safe } -> std::convertible_to<bool>;
                })
    known.thread_safe = Resource::thread_safe;
  if constexpr (requires {
                  { Resource::max_alignment } -> std::convertible_to<std::size_t>;
                }) {
    known.max_alignment = Resource::max_alignment;
  }
  return known;
}

/// One object under test, with the type taken away.
class tested_object {
 public:
  tested_object() = default;
  tested_object(const tested_object&) = delete;
  tested_object& operator=(const tested_object&) = delete;
  virtual ~tested_object() = default;
  virtual std::pmr::memory_resource& resource() = 0;
  /// False when there is no release().
  virtual bool release() = 0;
};

/// Owns a tested_object. Its memory is the kit's own, so that construction shows only the object's own use of the heap.
class instance {
 public:
  template <class Factory, class... Upstream>
  static instance make(const Factory& factory, Upstream... upstream);

  instance(instance&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  instance& operator=(instance&&) = delete;
  ~instance() {
    if (object_ == nullptr) return;
    void* const place = dynamic_cast<void*>(object_);
    object_->~tested_object();
    own_deallocate(place);
  }

  [[nodiscard]] std::pmr::memory_resource& operator*() const { return object_->resource(); }
  std::pmr::memory_resource* operator->() const { return &object_->resource(); }
  [[nodiscard]] std::pmr::memory_resource* get() const { return &object_->resource(); }
  /// Calls the object's release(); false when it has none.
  bool release() const { return object_->release(); }  // NOLINT(modernize-use-nodiscard)

 private:
  explicit instance(tested_object* object) : object_(object) {}

  tested_object* object_;
};

/// What the suite is run on: a name, how to make one, and its facts.
///
/// The factory is called with the upstream to build upon (std::pmr::memory_resource*), or with nothing when it makes a
/// source. It returns a resource by value (which need not be movable), or anything that `*` turns into a
/// memory_resource&: a pointer to a resource that lives on, a unique_ptr, or a struct that holds several layers and
/// shows the top one by `operator*`. A `release()` member of what is returned (or of what it points to) is found and
/// tested.
class subject {
 public:
  template <std::invocable<std::pmr::memory_resource*> Factory>
  explicit subject(Factory factory, const facts& known = {}, std::string name = {})
      : known_(known),
        name_(std::move(name)),
        make_([factory](std::pmr::memory_resource* upstream) { return instance::make(factory, upstream); }) {}

  template <std::invocable<> Factory>
  explicit subject(Factory factory, const facts& known = {}, std::string name = {})
      : known_(known),
        name_(std::move(name)),
        is_source_(true),
        make_([factory](std::pmr::memory_resource*) { return instance::make(factory); }) {}

  [[nodiscard]] instance make(std::pmr::memory_resource* upstream) const { return make_(upstream); }
  [[nodiscard]] const facts& known() const noexcept { return known_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool is_source() const noexcept { return is_source_; }

 private:
  facts known_;
  std::string name_;
  bool is_source_ = false;
  std::function<instance(std::pmr::memory_resource*)> make_;
};

/// The usual subject: `Resource(upstream)`, with the facts its class states.
template <std::derived_from<std::pmr::memory_resource> Resource>
[[nodiscard]] subject over_upstream(const facts& known = facts_of<Resource>(), std::string name = {}) {
  return subject([](std::pmr::memory_resource* upstream) { return Resource(upstream); }, known, std::move(name));
}

void PrintTo(const subject& tested, std::ostream* out);

template <class Factory, class... Upstream>
instance instance::make(const Factory& factory, Upstream... upstream) {
  class made final : public tested_object {
   public:
    explicit made(const Factory& make_it, Upstream... over) : value_(make_it(over...)) {}
    std::pmr::memory_resource& resource() override {
      if constexpr (std::is_convertible_v<value&, std::pmr::memory_resource&>) {
        return value_;
      } else {
        return *value_;
      }
    }
    bool release() override {
      if constexpr (requires(value& v) { v.release(); } && std::is_convertible_v<value&, std::pmr::memory_resource&>) {
        value_.release();
        return true;
      } else if constexpr (requires(value& v) { (*v).release(); }) {
        (*value_).release();
        return true;
      } else {
        return false;
      }
    }

   private:
    using value = std::invoke_result_t<const Factory&, Upstream...>;
    value value_;
  };

  void* const place = own_allocate(sizeof(made), alignof(made));
  try {
    return instance(::new (place) made(factory, upstream...));
  } catch (...) {
    own_deallocate(place);
    throw;
  }
}

}  // namespace strata::test
