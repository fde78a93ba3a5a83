// SPDX-License-Identifier: Apache-2.0
// Claim: containers of every standard kind live on the resource: they fill, copy, move within a resource and between
// two, assign, swap, splice nodes, shrink and go, with every element, nested strings included, where its container is,
// and nothing anywhere else.
#include <array>
#include <concepts>
#include <cstdio>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <source_location>
#include <stack>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/support/conformance.h"
#include "tests/support/counting_default.h"

namespace strata::test {
namespace {

constexpr int kElements = 200;

/// A value that asks its container for more than malloc's alignment.
struct alignas(64) wide {
  explicit wide(int n) : number(n) {}
  int number;
  friend bool operator==(const wide&, const wide&) = default;
};

/// A text of its own for each number, too long to be kept inside a string object.
class text {
 public:
  explicit text(int n) {
    std::snprintf(letters_.data(), letters_.size(), "element %07d, longer than a string keeps inside", n);
  }
  operator std::string_view() const { return letters_.data(); }  // NOLINT(google-explicit-constructor)

 private:
  std::array<char, 64> letters_{};
};

template <class C>
concept keyed = requires { typename C::key_type; };
template <class C>
concept mapped = requires { typename C::mapped_type; };
template <class C>
concept character_string = requires { typename C::traits_type; };
template <class C>
concept singly_linked = requires(C& c) { c.before_begin(); };

/// One more element made from `n`, built in place: a temporary string would come from the default resource.
template <class C>
void put(C& c, int n) {
  if constexpr (mapped<C>) {
    c.emplace(n, std::string_view(text(n)));
  } else if constexpr (keyed<C>) {
    c.emplace(std::string_view(text(n)));
  } else if constexpr (character_string<C>) {
    c.push_back(static_cast<typename C::value_type>('a' + n % 26));
  } else if constexpr (singly_linked<C>) {
    c.emplace_front(std::string_view(text(n)));
  } else if constexpr (std::constructible_from<typename C::value_type, int>) {
    c.emplace_back(static_cast<typename C::value_type>(n));
  } else {
    c.emplace_back(std::string_view(text(n)));
  }
}

/// Whether `value` keeps what it allocates in `home`. True for one that allocates nothing.
template <class T>
bool lives_in(const T& value, const std::pmr::memory_resource* home) {
  if constexpr (requires { value.first; }) {
    return lives_in(value.first, home) && lives_in(value.second, home);
  } else if constexpr (requires { value.get_allocator().resource(); }) {
    if (value.get_allocator().resource() != home) return false;
    for (auto&& element : value) {
      if (!lives_in(element, home)) return false;
    }
  }
  return true;
}

template <class C>
void fill(C& c, int from = 0) {
  for (int n = from; n < from + kElements; ++n) put(c, n);
}

/// EXPECT_TRUE, but not compiled anew for each container.
[[gnu::noinline]] void expect(bool holds, const char* what,
                              std::source_location where = std::source_location::current()) {
  if (!holds) ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << what;
}

/// The life of a container of type C on `home`, with a second one on `other` for what happens between resources.
template <class C>
void live(std::pmr::memory_resource* home, std::pmr::memory_resource* other) {
  C first(home);
  fill(first);
  expect(lives_in(first, home), "filled");

  C copy(first, home);
  expect(copy == first, "equal");
  expect(lives_in(copy, home), "copied");

  C moved(std::move(copy));
  expect(moved == first, "equal");
  expect(lives_in(moved, home), "moved");

  C abroad(std::move(moved), other);
  expect(abroad == first, "equal");
  expect(lives_in(abroad, other), "moved to another resource");

  C assigned(other);
  fill(assigned, kElements);
  assigned = first;
  expect(assigned == first, "equal");
  expect(lives_in(assigned, other), "assigning does not change the resource");

  C given(home);
  fill(given, 2 * kElements);
  C expected(given, home);
  assigned = std::move(given);
  expect(assigned == expected, "equal");
  expect(lives_in(assigned, other), "nor does moving");

  C near(home);
  fill(near, 3 * kElements);
  using std::swap;
  swap(near, first);
  swap(near, first);
  expect(lives_in(near, home) && lives_in(first, home), "swapped");

  if constexpr (requires { expected.merge(near); } && keyed<C>) {
    expected.merge(near);
    expect(lives_in(expected, home), "merged");
    auto node = expected.extract(expected.begin());
    near.insert(std::move(node));
    expect(lives_in(near, home), "a node handed over");
  } else if constexpr (requires { expected.splice(expected.begin(), near); }) {
    expected.splice(expected.begin(), near);
    expect(lives_in(expected, home), "spliced");
  }

  if constexpr (requires { first.erase(first.begin()); }) {
    for (int n = 0; n < kElements / 2; ++n) first.erase(first.begin());
  } else {
    for (int n = 0; n < kElements / 2; ++n) first.pop_front();
  }
  if constexpr (requires { first.shrink_to_fit(); }) first.shrink_to_fit();
  if constexpr (requires { first.rehash(0); }) first.rehash(0);
  expect(lives_in(first, home), "shrunk");
  first.clear();
  fill(first);
  expect(lives_in(first, home), "filled again");
}

template <class... Containers>
void live_each(std::pmr::memory_resource* home, std::pmr::memory_resource* other) {
  (live<Containers>(home, other), ...);
}

void expect_home_only(const heap_use& used, const facts& known) {
  if (known.uses_heap) return;
  EXPECT_EQ(used.default_resource, 0U) << "from the default resource";
  EXPECT_EQ(used.operator_new, 0U) << "from operator new";
  EXPECT_EQ(used.malloc, 0U) << "from malloc";
}

constexpr std::size_t kEnough = std::size_t{1} << 16;  // the largest block these containers ask for is below
constexpr const char* kTooSmall = "max_bytes is too small for these containers";

}  // namespace

TEST_P(Conformance, CarriesSequences) {
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  const instance home = make();
  const instance other = make();
  const counting_default watch;
  live_each<std::pmr::vector<int>, std::pmr::vector<bool>, std::pmr::vector<wide>, std::pmr::vector<std::pmr::string>,
            std::pmr::deque<int>, std::pmr::deque<wide>, std::pmr::deque<std::pmr::string>,
            std::pmr::list<std::pmr::string>, std::pmr::forward_list<std::pmr::string>>(home.get(), other.get());
  expect_home_only(watch.used(), known());
}

TEST_P(Conformance, CarriesStrings) {
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  const instance home = make();
  const instance other = make();
  const counting_default watch;
  live_each<std::pmr::string, std::pmr::wstring, std::pmr::u8string, std::pmr::u16string, std::pmr::u32string>(
      home.get(), other.get());
  expect_home_only(watch.used(), known());
}

TEST_P(Conformance, CarriesOrderedContainers) {
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  const instance home = make();
  const instance other = make();
  const counting_default watch;
  live_each<std::pmr::map<int, std::pmr::string>, std::pmr::multimap<int, std::pmr::string>,
            std::pmr::set<std::pmr::string>, std::pmr::multiset<std::pmr::string>>(home.get(), other.get());
  expect_home_only(watch.used(), known());
}

TEST_P(Conformance, CarriesHashedContainers) {
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  const instance home = make();
  const instance other = make();
  const counting_default watch;
  live_each<std::pmr::unordered_map<int, std::pmr::string>, std::pmr::unordered_multimap<int, std::pmr::string>,
            std::pmr::unordered_set<std::pmr::string>, std::pmr::unordered_multiset<std::pmr::string>>(home.get(),
                                                                                                       other.get());
  expect_home_only(watch.used(), known());
}

TEST_P(Conformance, CarriesContainersOfContainers) {
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  using index = std::pmr::map<std::pmr::string, std::pmr::vector<std::pmr::string>, std::less<>>;
  const instance home = make();
  const instance other = make();
  const counting_default watch;
  index words(home.get());
  for (int n = 0; n < kElements; ++n) {
    auto& lines = words.try_emplace(std::pmr::string(std::string_view(text(n % 20)), home.get())).first->second;
    lines.emplace_back(std::string_view(text(n)));
  }
  EXPECT_TRUE(lives_in(words, home.get()));
  index abroad(words, other.get());
  EXPECT_TRUE(abroad == words);
  EXPECT_TRUE(lives_in(abroad, other.get())) << "down to the innermost string";
  index back(std::move(abroad), home.get());
  EXPECT_TRUE(back == words);
  EXPECT_TRUE(lives_in(back, home.get())) << "down to the innermost string";
  expect_home_only(watch.used(), known());
}

TEST_P(Conformance, CarriesAdaptorsAndSingleObjects) {
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  const instance home = make();
  const counting_default watch;
  const std::pmr::polymorphic_allocator<> allocator(home.get());
  {
    std::stack<std::pmr::string, std::pmr::vector<std::pmr::string>> stack(allocator);
    std::queue<std::pmr::string, std::pmr::deque<std::pmr::string>> queue(allocator);
    std::priority_queue<std::pmr::string, std::pmr::vector<std::pmr::string>> sorted(allocator);
    for (int n = 0; n < kElements; ++n) {
      stack.emplace(std::string_view(text(n)));
      queue.emplace(std::string_view(text(n)));
      sorted.emplace(std::string_view(text(n)));
    }
    EXPECT_EQ(std::string_view(stack.top()), std::string_view(text(kElements - 1)));
    EXPECT_EQ(std::string_view(queue.front()), std::string_view(text(0)));
    EXPECT_EQ(std::string_view(sorted.top()), std::string_view(text(kElements - 1)));
    EXPECT_TRUE(lives_in(stack.top(), home.get()) && lives_in(queue.front(), home.get()) &&
                lives_in(sorted.top(), home.get()));
    for (; !queue.empty(); queue.pop(), stack.pop(), sorted.pop()) {
    }
  }
  {
    const auto shared = std::allocate_shared<std::pmr::string>(
        std::pmr::polymorphic_allocator<std::pmr::string>(home.get()), std::string_view(text(1)));
    EXPECT_TRUE(lives_in(*shared, home.get()));
    std::pmr::polymorphic_allocator<> objects(home.get());
    auto* const object = objects.new_object<std::pmr::vector<wide>>();
    object->emplace_back(1);
    EXPECT_TRUE(lives_in(*object, home.get()));
    objects.delete_object(object);
    void* const bytes = objects.allocate_bytes(100, 32);
    objects.deallocate_bytes(bytes, 100, 32);
  }
  expect_home_only(watch.used(), known());
}

/// What the standard says, shown so that nobody is surprised: the resource is not part of a container's value.
TEST_P(Conformance, LeavesPlainCopiesToTheDefaultResource) {
  const instance home = make();
  std::pmr::vector<int> numbers({1, 2, 3}, home.get());
  const counting_default watch;
  const std::pmr::vector<int> copy(numbers);
  EXPECT_EQ(copy.get_allocator().resource(), std::pmr::get_default_resource());
  EXPECT_EQ(watch.used().default_resource, 1U);
  const std::pmr::vector<int> moved(std::move(numbers));
  EXPECT_EQ(moved.get_allocator().resource(), home.get());
  EXPECT_EQ(copy, moved);
}

TEST_P(Conformance, LosesNothingWhenAContainerRunsOutOfMemory) {
  if (!has_upstream()) GTEST_SKIP() << "a source has no upstream";
  if (max_bytes() < kEnough) GTEST_SKIP() << kTooSmall;
  const auto build = [this] {
    const instance home = make();
    std::pmr::map<int, std::pmr::string> numbers(home.get());
    std::pmr::unordered_map<int, std::pmr::vector<std::pmr::string>> lines(home.get());
    for (int n = 0; n < 40; ++n) {
      numbers.emplace(n, std::string_view(text(n)));
      lines[n % 7].emplace_back(std::string_view(text(n)));
    }
    const auto copy = std::pmr::map<int, std::pmr::string>(numbers, home.get());
    EXPECT_EQ(copy, numbers);
  };
  until_it_succeeds(upstream_, build, [this] { EXPECT_EQ(recorder_.live(), balance()); });
  EXPECT_EQ(recorder_.live(), balance());
}

}  // namespace strata::test
