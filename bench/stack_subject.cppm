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

/// Strata's stacks as contenders.
export namespace bench {

/// A stack, whose trim() is that of every layer that has one, from the top down.
template <class... Layers>
class stack_subject : public subject {
 public:
  explicit stack_subject(bool in_segment, const Layers&... layers) : layers_(layers...), in_segment_(in_segment) {}

  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return layers_; }

  void trim() noexcept override {
    [this]<std::size_t... I>(std::index_sequence<I...>) {
      (trim(layers_.template get<sizeof...(Layers) - 1 - I>()), ...);
    }(std::index_sequence_for<Layers...>());
  }

  [[nodiscard]] bool in_segment() const noexcept override { return in_segment_; }

  void verify() const override {
    strata::pmr::report layers;
    layers_.collect(layers);
    if (const std::string sentence = imbalance(layers.rows()); !sentence.empty()) throw wrong(sentence);
    if (const auto found = layers_.check(); found.found()) throw wrong(found.sentence);
  }

 protected:
  [[nodiscard]] auto& top() noexcept { return layers_.top(); }

 private:
  static void trim(auto& layer) noexcept {
    if constexpr (requires { layer.trim(); }) layer.trim();
  }

  strata::pmr::stack<Layers...> layers_;
  bool in_segment_;
};

/// A stack through those calls of its top layer that are shaped like malloc: allocate(bytes), deallocate(p), which finds
/// out by itself what p is.
template <class... Layers>
class unsized_stack_subject final : public stack_subject<Layers...> {
 public:
  template <class... Arguments>
  explicit unsized_stack_subject(const Arguments&... arguments) : stack_subject<Layers...>(arguments...) {
    unsized_.calls.top = &this->top();
  }

  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return unsized_; }

 private:
  struct top_calls {
    typename strata::pmr::stack<Layers...>::top_type* top = nullptr;

    void* allocate(std::size_t bytes) const { return top->allocate(bytes); }
    void* aligned_allocate(std::size_t bytes, std::size_t alignment) const { return top->allocate(bytes, alignment); }
    void deallocate(void* p, std::size_t) const { top->deallocate(p); }
    void aligned_deallocate(void* p, std::size_t, std::size_t) const { top->deallocate(p); }
  };

  malloc_resource<top_calls> unsized_;
};

/// Makers: of a stack, of one that lives in a segment of segment_bytes, and of the latter through malloc-shaped calls.
template <class... Layers>
[[nodiscard]] std::unique_ptr<subject> stack_of(const Layers&... layers) {
  return std::make_unique<stack_subject<Layers...>>(false, layers...);
}

template <class... Layers>
[[nodiscard]] std::unique_ptr<subject> segment_of(const Layers&... layers) {
  return std::make_unique<stack_subject<Layers...>>(true, layers...);
}

template <class... Layers>
[[nodiscard]] std::unique_ptr<subject> unsized_segment_of(const Layers&... layers) {
  return std::make_unique<unsized_stack_subject<Layers...>>(true, layers...);
}

}  // namespace bench
