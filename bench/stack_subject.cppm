// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <string>
#include <utility>

export module bench:stack_subject;

import :balance;
import :malloc_resource;
import :subject;

import strata.pmr;

namespace bench {

// What one entry of a stack, or a layer that stands alone, can do of its own.
void trim_layer(auto& layer) noexcept {
  if constexpr (requires { layer.trim(); }) layer.trim();
}

template <class... Layers>
void trim_all(strata::pmr::stack<Layers...>& layers) noexcept {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (trim_layer(layers.template get<sizeof...(Layers) - 1 - I>()), ...);
  }(std::index_sequence_for<Layers...>());
}
void trim_all(auto& layer) noexcept { trim_layer(layer); }

template <class... Layers>
auto& top_of(strata::pmr::stack<Layers...>& layers) noexcept {
  return layers.top();
}
auto& top_of(auto& layer) noexcept { return layer; }

}  // namespace bench

/// Strata's memory as contenders.
export namespace bench {

/// A stack, or one layer over a resource of others. Its trim() is that of every layer that has one, from the top down.
template <class Memory>
class layer_subject : public subject {
 public:
  template <class... Arguments>
  explicit layer_subject(bool in_segment, const Arguments&... arguments)
      : memory_(arguments...), in_segment_(in_segment) {}

  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return memory_; }
  void trim() noexcept override { trim_all(memory_); }
  [[nodiscard]] bool in_segment() const noexcept override { return in_segment_; }

  void verify() const override {
    strata::pmr::report layers;
    memory_.collect(layers);
    if (const std::string sentence = imbalance(layers.rows()); !sentence.empty()) throw wrong(sentence);
    if (const auto found = memory_.check(); found.found()) throw wrong(found.sentence);
  }

 protected:
  Memory memory_;

 private:
  bool in_segment_;
};

/// The same through those calls of its top layer that are shaped like malloc: allocate(bytes), and deallocate(p), which
/// finds out by itself what p is.
template <class Memory>
class sizeless_subject final : public layer_subject<Memory> {
 public:
  template <class... Arguments>
  explicit sizeless_subject(const Arguments&... arguments) : layer_subject<Memory>(arguments...) {
    sizeless_.calls.top = &top_of(this->memory_);
  }

  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return sizeless_; }

 private:
  struct top_calls {
    decltype(&top_of(std::declval<Memory&>())) top = nullptr;

    void* allocate(std::size_t bytes) const { return top->allocate(bytes); }
    void* aligned_allocate(std::size_t bytes, std::size_t alignment) const { return top->allocate(bytes, alignment); }
    void deallocate(void* p, std::size_t) const { top->deallocate(p); }
    void aligned_deallocate(void* p, std::size_t, std::size_t) const { top->deallocate(p); }
  };

  malloc_resource<top_calls> sizeless_;
};

/// Makers: of a stack, of one that lives in a segment of segment_bytes, and of the latter through malloc-shaped calls.
template <class... Layers>
[[nodiscard]] std::unique_ptr<subject> stack_of(const Layers&... layers) {
  return std::make_unique<layer_subject<strata::pmr::stack<Layers...>>>(false, layers...);
}

template <class... Layers>
[[nodiscard]] std::unique_ptr<subject> segment_of(const Layers&... layers) {
  return std::make_unique<layer_subject<strata::pmr::stack<Layers...>>>(true, layers...);
}

template <class... Layers>
[[nodiscard]] std::unique_ptr<subject> sizeless_segment_of(const Layers&... layers) {
  return std::make_unique<sizeless_subject<strata::pmr::stack<Layers...>>>(true, layers...);
}

}  // namespace bench
