// SPDX-License-Identifier: Apache-2.0
// Claims: strips are taken in rows, at multiples asked for, blank, and not twice; the next ones before any that came back;
// rows larger than a zone are whole zones; there is a bound. What rests comes back by bytes or by time, oldest first, and
// not at all where its pool's end is waited for. A zone that is free as a whole goes back with trim(), and after a decay, and
// not before; then nobody knows it, its records cost nothing, and another may claim it. An end gives all back.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

import strata.mem;
import strata.platform;

namespace strata::mem {
namespace {

constexpr auto none = shadow_addresses::none;
constexpr auto strips = static_cast<std::uint32_t>(shadow_zone::strips);
constexpr shadow_hold at_end{.reuse = shadow_reuse::at_end};

shadow_space& space() {
  shadow_space& all = shadow_space::of_process();
  EXPECT_FALSE(all.open().failed());
  return all;
}

struct ShadowAddresses : testing::Test {
  ~ShadowAddresses() override { EXPECT_EQ(space_.claimed_bytes(), 0U); }

  /// As many zones as that, at most.
  [[nodiscard]] std::size_t zones(std::size_t count) const { return count * space_.zone_bytes(); }
  /// A mapping of some strips that has ended.
  void rest(shadow_addresses& addresses, std::uint32_t first, std::uint32_t count) {
    space_.strip(first).count = count;
    addresses.rest(first);
  }
  [[nodiscard]] bool is_known(std::uint32_t zone) const {
    return space_.known_zone(space_.base_of_zone(zone)) != nullptr;
  }

  shadow_space& space_ = space();
};

TEST_F(ShadowAddresses, TakesRowsThatNobodyHas) {
  shadow_addresses addresses(space_, this, "test", zones(4), at_end);
  EXPECT_EQ(addresses.zones(), 0U);
  const std::uint32_t a = addresses.take(3, 1);
  const std::uint32_t b = addresses.take(8, 16);
  const std::uint32_t c = addresses.take(1, 1);
  EXPECT_EQ(a % strips, 0U);
  EXPECT_EQ(b, a + 16);
  EXPECT_EQ(c, b + 8) << "the next, not the gap before";
  EXPECT_EQ(addresses.zones(), 1U);
  EXPECT_EQ(addresses.bytes(), space_.zone_bytes());
  EXPECT_EQ(space_.zone(a / strips).free_strips, strips - 12);
}

TEST_F(ShadowAddresses, TakesWhatCameBackOnceNothingElseIsLeft) {
  shadow_addresses addresses(space_, this, "test", zones(1), at_end);
  const std::uint32_t first = addresses.take(10, 1);
  space_.record(shadow_space::first_page_of(first)).write({.state = shadow_state::dead, .bytes = 40});
  addresses.put_back(first, 10);
  EXPECT_EQ(addresses.take(strips - 10, 1), first + 10);
  EXPECT_EQ(addresses.take(11, 1), none) << "the bound";
  EXPECT_EQ(addresses.take(10, 1), first);
  EXPECT_EQ(space_.record(shadow_space::first_page_of(first)).state(), shadow_state::unused);
  EXPECT_EQ(addresses.take(1, 1), none);
}

TEST_F(ShadowAddresses, TakesWholeZonesForWhatIsLarger) {
  shadow_addresses addresses(space_, this, "test", zones(4), at_end);
  const std::uint32_t large = addresses.take(2 * strips + 1, 1);
  EXPECT_EQ(large % strips, 0U);
  EXPECT_EQ(addresses.zones(), 3U);
  EXPECT_EQ(addresses.take(2 * strips, 1), none);
  EXPECT_EQ(addresses.take(strips - 1, 1), large + 2 * strips + 1) << "what is left of the last one";
}

TEST_F(ShadowAddresses, LetsWhatRestsServeAgainByBytes) {
  const std::size_t bytes = 4 * space_.strip_bytes();
  shadow_addresses addresses(space_, this, "test", zones(1), {.reuse = shadow_reuse::quarantine, .bytes = bytes});
  std::array<std::uint32_t, 3> taken{};
  for (std::uint32_t& first : taken) first = addresses.take(2, 1);
  for (const std::uint32_t first : taken) rest(addresses, first, 2);
  EXPECT_EQ(addresses.quarantined(), 6 * space_.strip_bytes());
  addresses.end_quarantine(0);
  EXPECT_EQ(addresses.quarantined(), bytes) << "the oldest went";
  EXPECT_EQ(addresses.take(strips - 4, 1), none);
  EXPECT_EQ(addresses.take(strips - 6, 1), taken[2] + 2);
  EXPECT_EQ(addresses.take(2, 1), taken[0]);
}

TEST_F(ShadowAddresses, LetsWhatRestsServeAgainByTime) {
  constexpr std::uint64_t hold = 1'000'000'000;
  shadow_addresses addresses(
      space_, this, "test", zones(1),
      {.reuse = shadow_reuse::quarantine, .bytes = 8 * space_.strip_bytes(), .nanoseconds = hold});
  const std::uint64_t before = monotonic_ns();
  rest(addresses, addresses.take(2, 1), 2);
  const std::uint64_t after = monotonic_ns();
  addresses.end_quarantine(0);
  addresses.end_quarantine(before + hold - 1);
  EXPECT_EQ(addresses.quarantined(), 2 * space_.strip_bytes());
  addresses.end_quarantine(after + hold);
  EXPECT_EQ(addresses.quarantined(), 0U);
}

TEST_F(ShadowAddresses, LetsNothingServeAgainThatWaitsForItsPoolsEnd) {
  for (const shadow_reuse reuse : {shadow_reuse::at_end, shadow_reuse::never}) {
    shadow_addresses addresses(space_, this, "test", zones(1), {.reuse = reuse});
    rest(addresses, addresses.take(strips, 1), strips);
    addresses.end_quarantine(UINT64_MAX);
    EXPECT_EQ(addresses.quarantined(), 0U);
    EXPECT_EQ(addresses.trim(), 0U);
    EXPECT_EQ(addresses.take(1, 1), none);
  }
}

TEST_F(ShadowAddresses, TrimsZonesThatAreFreeAsAWhole) {
  shadow_addresses addresses(space_, this, "test", zones(3), at_end);
  const std::uint32_t first = addresses.take(strips, 1);
  const std::uint32_t second = addresses.take(strips, 1);
  const std::uint32_t third = addresses.take(strips, 1);
  std::byte* const record = reinterpret_cast<std::byte*>(&space_.record(shadow_space::first_page_of(second)));
  for (std::uint32_t s = second; s < second + strips; ++s) {
    for (std::size_t p = 0; p < shadow_space::strip_pages; ++p) {
      space_.record(shadow_space::first_page_of(s) + p).write({.state = shadow_state::dead, .bytes = 9});
    }
  }
  addresses.put_back(second, strips);
  addresses.put_back(third, strips - 1);
  EXPECT_EQ(addresses.trim(), 1U);
  EXPECT_EQ(addresses.trim(), 0U);
  EXPECT_EQ(addresses.zones(), 2U);
  EXPECT_TRUE(is_known(first / strips));
  EXPECT_FALSE(is_known(second / strips));
  EXPECT_TRUE(is_known(third / strips));
  unsigned char resident = 1;
  std::byte* const whole = reinterpret_cast<std::byte*>(round_down(address(record), page_bytes()));  // NOLINT
  ASSERT_EQ(::mincore(whole, page_bytes(), &resident), 0);
  EXPECT_EQ(resident & 1, 0) << "its records cost nothing";
  EXPECT_EQ(space_.record(shadow_space::first_page_of(second)).state(), shadow_state::unused) << "and can be read";

  shadow_addresses other(space_, &resident, "other", zones(1), at_end);
  EXPECT_EQ(other.take(1, 1), second);
  EXPECT_TRUE(is_known(second / strips));
  EXPECT_NE(addresses.take(strips, 1), none) << "it may have three again";
}

TEST_F(ShadowAddresses, LetsZonesGoThatWereFreeForADecay) {
  constexpr std::uint64_t ms = 1'000'000;
  constexpr decay_period decay(100);
  shadow_addresses addresses(space_, this, "test", zones(2), at_end);
  const std::uint32_t stays = addresses.take(strips, 1);
  const std::uint32_t goes = addresses.take(strips, 1);
  EXPECT_EQ(addresses.let_go(decay, 1000 * ms), 0U);
  addresses.put_back(goes, strips);
  EXPECT_EQ(addresses.let_go(decay, 1099 * ms), 0U) << "free since now, for all one knows";
  EXPECT_EQ(addresses.let_go(decay, 1198 * ms), 0U);
  EXPECT_EQ(addresses.take(1, 1), goes);
  addresses.put_back(goes, 1);
  EXPECT_EQ(addresses.let_go(decay, 1199 * ms), 0U) << "it was of use";
  EXPECT_EQ(addresses.let_go(decay, 1298 * ms), 0U);
  EXPECT_EQ(addresses.let_go(decay, 1299 * ms), 1U);
  EXPECT_EQ(addresses.let_go(decay, 9999 * ms), 0U);
  EXPECT_TRUE(is_known(stays / strips));
  EXPECT_FALSE(is_known(goes / strips));
  EXPECT_EQ(addresses.let_go(decay_period(no_decay), 99'999 * ms), 0U);
  addresses.put_back(stays, strips);
  EXPECT_EQ(addresses.let_go(decay_period(0), 1), 1U) << "at once";
}

TEST_F(ShadowAddresses, VisitsMappingsAndSealsAllOff) {
  shadow_addresses addresses(space_, this, "test", zones(1), at_end);
  const std::uint32_t first = addresses.take(4, 1);
  ASSERT_FALSE(platform::commit(space_.base_of_page(shadow_space::first_page_of(first)), page_bytes()).failed());
  for (std::uint32_t s = first; s < first + 4; ++s) space_.strip(s).first = first;
  space_.strip(first).mapped = true;
  std::vector<std::uint32_t> seen;
  addresses.visit_mappings([&seen](std::uint32_t mapping, const shadow_strip&) { seen.push_back(mapping); });
  EXPECT_EQ(seen, std::vector{first});
  unsigned char resident = 0;
  void* const base = space_.base_of_page(shadow_space::first_page_of(first));
  *static_cast<char*>(base) = 1;
  ASSERT_EQ(::mincore(base, page_bytes(), &resident), 0);
  EXPECT_EQ(resident & 1, 1);
  addresses.seal_off();
  ASSERT_EQ(::mincore(base, page_bytes(), &resident), 0);
  EXPECT_EQ(resident & 1, 0);
}

}  // namespace
}  // namespace strata::mem
