// SPDX-License-Identifier: Apache-2.0
// Claims: the store does as a trivial model does, expiry included, and takes nothing it does not give back; those used least
// recently make room; under a budget everything offered is stored and the budget holds; without memory it says so and loses
// nothing else; threads may do all that at once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory_resource>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

import cache_server;
import strata.pmr;

namespace cache_server {
namespace {

namespace sp = strata::pmr;

item* made(store& s, std::string_view key, std::string_view value, std::uint32_t expires = 0) {
  item* const i = s.make(key, 7, expires, value.size());
  if (i == nullptr) return nullptr;
  std::memcpy(i->wire().data(), value.data(), value.size());
  std::memcpy(i->wire().data() + value.size(), "\r\n", 2);
  return i;
}

stored put(store& s, verb how, std::string_view key, std::string_view value, std::uint32_t now = 1000,
           std::uint32_t expires = 0, std::uint64_t unique = 0) {
  item* const i = made(s, key, value, expires);
  return i != nullptr ? s.put(how, i, unique, now) : stored::no_memory;
}

std::optional<std::string> get(store& s, std::string_view key, std::uint32_t now = 1000) {
  std::optional<std::string> found;
  s.get(key, now, [&](const item& i) { found = std::string(i.value()); });
  return found;
}

std::uint64_t unique_of(store& s, std::string_view key) {
  std::uint64_t unique = 0;
  s.get(key, 1000, [&](const item& i) { unique = i.unique; });
  return unique;
}

struct CacheStore : testing::Test {
  sp::stack<sp::pages, sp::slabs> items{sp::pages{}, sp::slabs{}};
  sp::stack<sp::pages, sp::slabs> tables{sp::pages{}, sp::slabs{}};
};

TEST_F(CacheStore, DoesAsTheModelDoes) {
  const std::uint64_t seed = 3;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  struct entry {
    std::string value;
    std::uint32_t expires;
  };
  std::map<std::string, entry> model;
  {
    store s(&items, &tables, {.largest_value = 400});
    std::uint32_t now = 1000;
    for (int step = 0; step < 60'000; ++step) {
      if (random() % 200 == 0) ++now;
      std::erase_if(model, [now](const auto& e) { return e.second.expires != 0 && e.second.expires <= now; });
      const std::string key = "key" + std::to_string(random() % 500);
      const std::string value = random() % 4 == 0 ? std::to_string(random() % 100) : std::string(random() % 60, 'v');
      const std::uint32_t expires = random() % 3 == 0 ? now + static_cast<std::uint32_t>(random() % 5) : 0;
      const auto there = model.find(key);
      const bool has = there != model.end();
      const auto arrives = [&](stored outcome, bool stores) {
        ASSERT_EQ(outcome, stores ? stored::stored : stored::not_stored) << step;
        if (stores) model[key] = {value, expires};
        if (stores && expires != 0 && expires <= now) model.erase(key);
      };
      switch (random() % 10) {
        case 0:
        case 1:
          arrives(put(s, verb::set, key, value, now, expires), true);
          break;
        case 2:
          arrives(put(s, verb::add, key, value, now, expires), !has);
          break;
        case 3:
          arrives(put(s, verb::replace, key, value, now, expires), has);
          break;
        case 4: {
          const bool fits = has && there->second.value.size() + value.size() <= 400;
          const stored outcome = put(s, random() % 2 == 0 ? verb::append : verb::prepend, key, "<", now);
          ASSERT_EQ(outcome == stored::stored, has && there->second.value.size() < 400) << step << fits;
          if (outcome == stored::stored) there->second.value = get(s, key, now).value_or("gone");
          break;
        }
        case 5:
          ASSERT_EQ(s.remove(key, now), has) << step;
          model.erase(key);
          break;
        case 6: {
          ASSERT_EQ(s.touch(key, expires, now), has) << step;
          if (has) there->second.expires = expires;
          break;
        }
        case 7: {
          std::uint64_t result = 0;
          const bool up = random() % 2 == 0;
          const counted outcome = s.count(key, up, 7, now, result);
          if (!has) {
            ASSERT_EQ(outcome, counted::not_found) << step;
            break;
          }
          std::string digits = there->second.value;
          while (digits.ends_with(' ')) digits.pop_back();
          const auto number = number_of(digits);
          ASSERT_EQ(outcome, number.has_value() ? counted::counted : counted::no_number) << step << digits;
          if (!number.has_value()) break;
          ASSERT_EQ(result, up ? *number + 7 : *number - std::min<std::uint64_t>(*number, 7));
          std::string text = std::to_string(result);
          text.resize(std::max(text.size(), there->second.value.size()), ' ');
          there->second.value = text;
          break;
        }
        case 8:
          if (random() % 2000 == 0) {
            s.flush(now, now);
            model.clear();
          }
          s.sweep(now);
          break;
        default:
          ASSERT_EQ(get(s, key, now), has ? std::optional(there->second.value) : std::nullopt) << step;
      }
    }
    EXPECT_GT(s.figures().expired, 100U);
    s.flush(now, now);
    EXPECT_EQ(s.figures().items, 0U);
    EXPECT_EQ(s.figures().bytes, 0U);
    EXPECT_EQ(items.stats().live, 0U) << "everything came back, tables aside";
  }
  EXPECT_EQ(tables.stats().live, 0U);
}

TEST_F(CacheStore, ComparesBeforeItSwaps) {
  store s(&items, &tables, {});
  EXPECT_EQ(put(s, verb::cas, "k", "v", 1000, 0, 1), stored::not_found);
  EXPECT_EQ(put(s, verb::set, "k", "v"), stored::stored);
  const std::uint64_t unique = unique_of(s, "k");
  EXPECT_EQ(put(s, verb::cas, "k", "w", 1000, 0, unique + 1), stored::exists);
  EXPECT_EQ(put(s, verb::cas, "k", "w", 1000, 0, unique), stored::stored);
  EXPECT_EQ(put(s, verb::cas, "k", "x", 1000, 0, unique), stored::exists) << "another one with each change";
  EXPECT_EQ(get(s, "k"), "w");
}

TEST_F(CacheStore, FlushesWhenItIsTime) {
  store s(&items, &tables, {});
  static_cast<void>(put(s, verb::set, "k", "v"));
  s.flush(1010, 1000);
  s.tick(1009);
  EXPECT_TRUE(get(s, "k", 1009).has_value());
  s.tick(1010);
  EXPECT_FALSE(get(s, "k", 1010).has_value());
  static_cast<void>(put(s, verb::set, "k", "v", 1010));
  s.tick(1011);
  EXPECT_TRUE(get(s, "k", 1011).has_value()) << "once";
}

TEST_F(CacheStore, ThoseUsedLeastRecentlyGoFirst) {
  store s(&items, &tables, {.shards = 1});
  for (const char* const key : {"a", "b", "c", "d"}) static_cast<void>(put(s, verb::set, key, "value"));
  EXPECT_TRUE(get(s, "a").has_value());
  EXPECT_TRUE(s.touch("b", 0, 1000));
  EXPECT_EQ(s.evict(1), item::bytes_for(1, 5));
  EXPECT_FALSE(get(s, "c").has_value());
  EXPECT_EQ(s.evict(item::bytes_for(1, 5) + 1), 2 * item::bytes_for(1, 5)) << "as many as it takes";
  EXPECT_FALSE(get(s, "d").has_value());
  EXPECT_FALSE(get(s, "a").has_value());
  EXPECT_TRUE(get(s, "b").has_value());
  EXPECT_EQ(s.figures().evictions, 3U);
  EXPECT_EQ(s.evict(1'000'000), item::bytes_for(1, 5)) << "what there is";
  EXPECT_EQ(s.evict(1), 0U);
}

bool evict_for(void* argument, const sp::shortage& what) noexcept {
  return (*static_cast<store**>(argument))->evict(what.bytes) != 0;
}

TEST_F(CacheStore, StoresEverythingWithinItsBudget) {
  store* who = nullptr;
  constexpr std::size_t most = 64 << 10;
  sp::limit_adaptor<std::pmr::memory_resource, sp::relieved_limit> budget(
      &items, {.bytes = most, .when_short = &evict_for, .argument = &who});
  store s(&budget, &tables, {.largest_value = 20'000, .shards = 4});
  who = &s;
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    const std::string value(random() % (i % 50 == 0 ? 20'000 : 300), 'v');
    ASSERT_EQ(put(s, verb::set, "key" + std::to_string(i), value), stored::stored) << i;
    ASSERT_LE(budget.stats().live, most);
  }
  EXPECT_GT(s.figures().evictions, 10'000U);
  EXPECT_EQ(s.figures().bytes, budget.stats().live);
  EXPECT_EQ(s.make("k", 0, 0, 20'001), nullptr) << "too large";
}

TEST_F(CacheStore, SaysWhenThereIsNoMemoryAndLosesNothing) {
  sp::limit_adaptor<std::pmr::memory_resource, sp::limit> budget(&items, {.bytes = 4096});
  store s(&budget, &tables, {});
  ASSERT_EQ(put(s, verb::set, "number", "9"), stored::stored);
  std::size_t count = 0;
  while (put(s, verb::set, "key" + std::to_string(count), std::string(100, 'v')) == stored::stored) ++count;
  EXPECT_GT(count, 10U);
  std::uint64_t result = 0;
  EXPECT_EQ(s.count("number", true, 1, 1000, result), counted::no_memory);
  EXPECT_EQ(get(s, "number"), "9");
  EXPECT_EQ(s.count("number", false, 1, 1000, result), counted::counted) << "in its place";
  for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(get(s, "key" + std::to_string(i)).has_value());
}

TEST_F(CacheStore, ServesThreadsAtOnce) {
  store* who = nullptr;
  sp::limit_adaptor<std::pmr::memory_resource, sp::relieved_limit> budget(
      &items, {.bytes = 128 << 10, .when_short = &evict_for, .argument = &who});
  {
    store s(&budget, &tables, {});
    who = &s;
    std::atomic<std::uint64_t> counted_up{0};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        for (int step = 0; step < 4000; ++step) {
          const std::string key = "key" + std::to_string(random() % 400);
          switch (random() % 7) {
            case 0:
            case 1:
              static_cast<void>(
                  put(s, verb::set, key, std::string(random() % 800, 'v'), 1000, random() % 3 == 0 ? 1001 : 0));
              break;
            case 2:
              static_cast<void>(put(s, verb::append, key, "tail"));
              break;
            case 3:
              static_cast<void>(s.remove(key, 1000));
              break;
            case 4: {
              static_cast<void>(put(s, verb::add, "number", "0"));
              std::uint64_t result = 0;
              if (s.count("number", true, 1, 1000, result) == counted::counted) counted_up.fetch_add(1);
              break;
            }
            case 5:
              s.sweep(1001);
              if (step % 1000 == 0) s.flush(1000, 1000);
              break;
            default:
              static_cast<void>(get(s, key, 1001));
          }
        }
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_GT(counted_up.load(), 0U);
    EXPECT_EQ(s.figures().bytes, budget.stats().live);
    EXPECT_EQ(s.figures().items, budget.stats().live_blocks);
  }
  EXPECT_EQ(budget.stats().live, 0U);
  EXPECT_EQ(tables.stats().live, 0U);
}

}  // namespace
}  // namespace cache_server
