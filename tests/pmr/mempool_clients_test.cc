// SPDX-License-Identifier: Apache-2.0
// Claims: a tag is one cache's at a time, from the first on, and there are so many; a cache is found by its tag and shown from when it was
// introduced until it no longer is, and by no other tag; a tick asks each, adds up what they let go, and leaves it to a tick
// that is under way; a cache that ends waits for one, and is not asked any more; many threads that come and go share no tag.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

constexpr mem::fragment_tag first = 17;

class scripted_client final : public mempool_client {
 public:
  std::size_t lets_go = 0;
  std::atomic<int> asked{0};
  std::atomic<bool> stays{false};  ///< in let_go(), until it is false

  void take_back(void* /*item*/) noexcept override {}
  [[nodiscard]] std::size_t usable_size(const void* /*p*/) const noexcept override { return 0; }
  [[nodiscard]] const layer& as_layer() const noexcept override { return layer_; }
  std::size_t let_go(std::uint64_t /*now*/) noexcept override {
    ++asked;
    while (stays) std::this_thread::yield();
    return lets_go;
  }

 private:
  page_resource layer_;
};

struct MempoolClients : testing::Test {
  mempool_clients::table places{};
  mempool_clients clients{&places, first};

  // A tag that was free.
  mem::fragment_tag tag() {
    const std::optional<mem::fragment_tag> got = clients.enter();
    EXPECT_TRUE(got.has_value());
    return got.value_or(0);
  }
  std::size_t shown() const {
    std::size_t count = 0;
    clients.visit([&](mempool_client&) { ++count; });
    return count;
  }
};

TEST_F(MempoolClients, ATagIsOnesAtATimeAndThereAreSoMany) {
  std::set<mem::fragment_tag> tags;
  for (std::size_t i = 0; i < mempool_clients::most; ++i) tags.insert(tag());
  EXPECT_EQ(tags.size(), mempool_clients::most);
  EXPECT_EQ(*tags.begin(), first);
  EXPECT_EQ(*tags.rbegin(), first + mempool_clients::most - 1);
  EXPECT_FALSE(clients.enter().has_value());
  clients.leave(100);
  EXPECT_EQ(clients.enter(), 100);
  EXPECT_FALSE(clients.enter().has_value());
}

TEST_F(MempoolClients, AreFoundByTheirTagsWhileTheyAreKnown) {
  const mem::fragment_tag one = tag();
  const mem::fragment_tag two = tag();
  EXPECT_EQ(clients.find(one), nullptr) << "being made";
  EXPECT_EQ(shown(), 0U);
  scripted_client a;
  scripted_client b;
  clients.introduce(one, &a);
  clients.introduce(two, &b);
  EXPECT_EQ(clients.find(one), &a);
  EXPECT_EQ(clients.find(two), &b);
  EXPECT_EQ(shown(), 2U);
  for (const unsigned other : {0U, first - 1U, two + 1U, first + 239U, first + 240U, 0xFFFFU}) {
    EXPECT_EQ(clients.find(static_cast<mem::fragment_tag>(other)), nullptr) << other;
  }
  clients.introduce(one, nullptr);
  EXPECT_EQ(clients.find(one), nullptr);
  EXPECT_EQ(shown(), 1U);
}

TEST_F(MempoolClients, ATickAsksEachAndAddsUp) {
  std::array<scripted_client, 3> all;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].lets_go = std::size_t{1} << i;
    clients.introduce(tag(), &all[i]);
  }
  EXPECT_EQ(clients.tick(0), 7U);
  clients.introduce(first + 1, nullptr);
  EXPECT_EQ(clients.tick(0), 5U);
  EXPECT_EQ(all[1].asked, 1);
}

TEST_F(MempoolClients, ATickThatIsUnderWayIsLeftToItselfAndEndsBeforeACacheDoes) {
  scripted_client slow;
  slow.lets_go = 5;
  slow.stays = true;
  clients.introduce(tag(), &slow);
  std::size_t freed = 0;
  std::thread ticks([&] { freed = clients.tick(0); });
  while (slow.asked == 0) std::this_thread::yield();
  EXPECT_EQ(clients.tick(0), 0U);
  EXPECT_EQ(slow.asked, 1);

  std::atomic<bool> ended = false;
  std::thread ends([&] {
    clients.introduce(first, nullptr);
    ended = true;
  });
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  EXPECT_FALSE(ended);
  EXPECT_EQ(clients.find(first), &slow);
  slow.stays = false;
  ticks.join();
  ends.join();
  EXPECT_EQ(freed, 5U);
  EXPECT_EQ(clients.tick(0), 0U);
  EXPECT_EQ(slow.asked, 1) << "nobody is asked who has ended";
}

TEST_F(MempoolClients, ComeAndGoOnManyThreads) {
  std::array<std::atomic<int>, mempool_clients::most> owners{};
  std::atomic<bool> shared = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      scripted_client mine;
      mine.lets_go = 1;
      for (int round = 0; round < 500; ++round) {
        const std::optional<mem::fragment_tag> tag = clients.enter();
        if (!tag || owners[*tag - first].fetch_add(1) != 0) shared = true;
        clients.introduce(*tag, &mine);
        if (clients.find(*tag) != &mine || clients.tick(0) > 4) shared = true;
        clients.introduce(*tag, nullptr);
        owners[*tag - first].fetch_sub(1);
        clients.leave(*tag);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_FALSE(shared);
  EXPECT_EQ(shown(), 0U);
}

}  // namespace
}  // namespace strata::pmr
