// SPDX-License-Identifier: Apache-2.0
#include "tests/misuse/subjects.h"

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

import strata.pmr;

namespace sp = strata::pmr;

namespace {

constexpr std::size_t kSmall = 48, kPage = 512, kLarge = 200'000;
// With the pads of a debug_adaptor an item is still one.
constexpr std::size_t kPadded = kSmall + 32;

std::pmr::memory_resource* below() { return std::pmr::new_delete_resource(); }

// --- keepers, each made from its name alone ---

auto slabs(const char* name) { return sp::slab_resource<>(below(), sp::slabs{.name = name}); }
auto one_slabs(const char* name) {
  return sp::slab_resource<std::pmr::memory_resource, sp::threads::one>(below(),
                                                                        sp::unsynchronized_slabs{.name = name});
}
auto heap(const char* name) { return sp::heap_resource<>(below(), sp::heap{.name = name}); }
auto shared_heap(const char* name) {
  return sp::heap_resource<std::pmr::memory_resource, sp::threads::any>(below(), sp::shared_heap{.name = name});
}
auto fragments(const char* name) { return sp::fragment_resource<>(below(), sp::fragments{.name = name}); }
auto mempool(const char* name) { return sp::mempool_resource<>(below(), sp::mempool{.name = name}); }
template <std::size_t Bytes>
auto cache(const char* name) {
  return sp::named_cache<>(below(), sp::cache{.name = name, .item_bytes = Bytes});
}
template <std::size_t Bytes>
auto one_cache(const char* name) {
  return sp::named_cache<std::pmr::memory_resource, sp::threads::one>(
      below(), sp::unsynchronized_cache{.name = name, .item_bytes = Bytes});
}
template <std::size_t Bytes>
struct alignas(16) item {
  std::byte bytes[Bytes];
};
template <std::size_t Bytes>
auto object_pool(const char* name) {
  return sp::object_pool<item<Bytes>>(below(), {.name = name});
}
auto shadow(const char* name) { return sp::shadow_resource<>(below(), sp::shadow{.name = name}); }
auto std_pool(const char* /*name*/) { return std::pmr::unsynchronized_pool_resource(below()); }
auto std_monotonic(const char* /*name*/) { return std::pmr::monotonic_buffer_resource(below()); }

template <std::size_t Bytes>
struct cache_in_pool {
  explicit cache_in_pool(const char* name) : top(&pool, {.name = name, .item_bytes = Bytes}) {}
  sp::mempool_resource<> pool{below(), sp::mempool{.name = "pool"}};
  sp::mempool_cache<> top;
};

struct split {
  explicit split(const char* name)
      : small(below(), sp::slabs{.name = name}),
        large(below(), sp::shared_heap{.name = "large"}),
        top(&small, {.large = &large, .largest_small = 256}) {}
  sp::slab_resource<> small;
  sp::heap_resource<std::pmr::memory_resource, sp::threads::any> large;
  sp::size_split_resource<decltype(small), decltype(large)> top;
};

struct second_choice {
  explicit second_choice(const char* name)
      : first(below(), sp::fragments{.name = name}),
        second(below(), sp::slabs{.name = "second"}),
        top(&first, {.second = &second}) {}
  sp::fragment_resource<> first;
  sp::slab_resource<> second;
  sp::fallback_resource<decltype(first), decltype(second)> top;
};

template <class Keeper>
Keeper made(const char* name) {
  return Keeper(name);
}

// --- what stands on them ---

template <class Keeper>
[[nodiscard]] auto& top_of(Keeper& keeper) {
  if constexpr (requires { keeper.top; }) {
    return keeper.top;
  } else {
    return keeper;
  }
}

template <class Resource>
bool release_of(Resource& resource) {
  if constexpr (requires { resource.release(); }) {
    resource.release();
    return true;
  } else {
    return false;
  }
}

template <auto Make>
class plain final : public memory {
 public:
  explicit plain(const char* name) : keeper_(Make(name)) {}

  [[nodiscard]] void* get(std::size_t bytes, std::size_t alignment) override {
    return resource()->allocate(bytes, alignment);
  }
  void give(void* p, std::size_t bytes, std::size_t alignment) override { resource()->deallocate(p, bytes, alignment); }
  [[nodiscard]] bool release() override { return release_of(top_of(keeper_)); }
  [[nodiscard]] std::pmr::memory_resource* resource() override { return &top_of(keeper_); }

 private:
  decltype(Make("")) keeper_;
};

template <auto Make>
class watched final : public memory {
 public:
  explicit watched(const char* name)
      : keeper_(Make("keeper")),
        debug_(&top_of(keeper_), {.name = name, .flags = sp::debug_flags::antagonism | sp::debug_flags::noreuse}) {}

  [[nodiscard]] void* get(std::size_t bytes, std::size_t alignment) override {
    return debug_.allocate(bytes, alignment);
  }
  void give(void* p, std::size_t bytes, std::size_t alignment) override { debug_.deallocate(p, bytes, alignment); }
  [[nodiscard]] bool release() override { return release_of(debug_); }
  [[nodiscard]] std::pmr::memory_resource* resource() override { return &debug_; }

 private:
  using keeper = decltype(Make(""));
  using top = std::remove_reference_t<decltype(top_of(std::declval<keeper&>()))>;

  keeper keeper_;
  sp::debug_adaptor<top> debug_;
};

// --- keepers of one type, used as such ---

class typed final : public memory {
 public:
  explicit typed(const char* name) : pool_(below(), {.name = name}) {}
  // Room alone: what constructs would also write.
  [[nodiscard]] void* get(std::size_t /*bytes*/, std::size_t /*alignment*/) override { return pool_.request(); }
  void give(void* p, std::size_t /*bytes*/, std::size_t /*alignment*/) override {
    pool_.destroy(static_cast<item<kSmall>*>(p));
  }
  [[nodiscard]] bool release() override { return release_of(pool_); }

 private:
  sp::object_pool<item<kSmall>> pool_;
};

template <int Number>
struct alignas(16) node : sp::pooled<node<Number>> {
  std::byte bytes[kSmall];
};

// A class's pool lives as long as the program, so each memory is another class.
template <int Number>
class of_class final : public memory {
 public:
  [[nodiscard]] void* get(std::size_t bytes, std::size_t /*alignment*/) override {
    return node<Number>::operator new(bytes);
  }
  void give(void* p, std::size_t bytes, std::size_t /*alignment*/) override { node<Number>::operator delete(p, bytes); }
  [[nodiscard]] bool release() override {
    node<Number>::pool().release();
    return true;
  }
};

std::unique_ptr<memory> open_pooled(const char* name) {
  if (name[1] == 'n') return std::make_unique<of_class<1>>();  // "one"
  return std::make_unique<of_class<2>>();
}

template <class Memory>
std::unique_ptr<memory> open(const char* name) {
  return std::make_unique<Memory>(name);
}

constexpr subject kSubjects[] = {
    {"slabs", kSmall, true, open<plain<slabs>>, open<watched<slabs>>},
    {"slabs, a large block", kLarge, true, open<plain<slabs>>, open<watched<slabs>>},
    {"unsynchronized_slabs", kSmall, true, open<plain<one_slabs>>, open<watched<one_slabs>>},
    {"heap", kSmall, true, open<plain<heap>>, open<watched<heap>>},
    {"shared_heap", kSmall, true, open<plain<shared_heap>>, open<watched<shared_heap>>},
    {"fragments", kPage, true, open<plain<fragments>>, open<watched<fragments>>},
    {"mempool, small heap", kSmall, true, open<plain<mempool>>, open<watched<mempool>>},
    {"mempool, fragments", kPage, true, open<plain<mempool>>, open<watched<mempool>>},
    {"mempool_cache", kSmall, true, open<plain<made<cache_in_pool<kSmall>>>>,
     open<watched<made<cache_in_pool<kPadded>>>>},
    {"cache", kSmall, true, open<plain<cache<kSmall>>>, open<watched<cache<kPadded>>>},
    {"cache, another block", kPage, true, open<plain<cache<kSmall>>>, open<watched<cache<kPadded>>>},
    {"unsynchronized_cache", kSmall, true, open<plain<one_cache<kSmall>>>, open<watched<one_cache<kPadded>>>},
    {"object_pool", kSmall, false, open<typed>, open<watched<object_pool<kPadded>>>},
    {"pooled", kSmall, false, open_pooled, nullptr},
    {"shadow", kSmall, true, open<plain<shadow>>, open<watched<shadow>>},
    {"size_split", kSmall, true, open<plain<made<split>>>, open<watched<made<split>>>},
    {"fallback", kSmall, true, open<plain<made<second_choice>>>, open<watched<made<second_choice>>>},
    {"std::pmr::unsynchronized_pool_resource", kSmall, true, open<plain<std_pool>>, open<watched<std_pool>>},
    {"std::pmr::monotonic_buffer_resource", kSmall, true, open<plain<std_monotonic>>, open<watched<std_monotonic>>},
};

}  // namespace

std::span<const subject> all_subjects() { return kSubjects; }
