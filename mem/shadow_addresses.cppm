// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:shadow_addresses;

import :decay;
import :shadow_space;

/// The addresses of one shadow pool: zones it has claimed, and which of their strips are free.
///
///   taken -> dead, in quarantine -> free -> taken      a strip; its zone is of no use while all its strips are free
///
/// Next fit, so that addresses stay unused as long as they can. What is in quarantine leaves it oldest first, when too much
/// died after it or after a time; strips are blank then. A zone that is free as a whole can go back to the space.
///
/// One thread at a time; nothing throws. Taking and giving O(strips), in O(zones).
export namespace strata::mem {

class shadow_addresses {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  /// Zones are claimed in the name of `holder`. Pre: `name` outlives this.
  shadow_addresses(shadow_space& space, const void* holder, const char* name, std::size_t max_bytes,
                   const shadow_hold& hold) noexcept
      : space_(space), holder_(holder), name_(name), max_bytes_(max_bytes), hold_(hold) {}
  /// Every zone is inaccessible again, and serves others as `hold` says.
  ~shadow_addresses();
  shadow_addresses(const shadow_addresses&) = delete;
  shadow_addresses& operator=(const shadow_addresses&) = delete;

  /// The first of so many strips in a row, blank, which begin at a multiple of `aligned` strips; none: no more may be had.
  [[nodiscard]] std::uint32_t take(std::uint32_t count, std::size_t aligned) noexcept;
  /// Strips are free. Pre: taken, and nothing is mapped there.
  void put_back(std::uint32_t first, std::uint32_t count) noexcept;
  /// The strips of a mapping are dead: they serve again when `hold` lets them. Pre: nothing is mapped there any more.
  void rest(std::uint32_t mapping) noexcept;

  /// Strips whose quarantine is over, at `now`, are free.
  void end_quarantine(std::uint64_t now) noexcept;
  /// Gives back zones of which all strips are free. Returns how many.
  std::size_t trim() noexcept;
  /// The same of those that were free for the whole of a decay, at `now`.
  std::size_t let_go(decay_period period, std::uint64_t now) noexcept;

  /// Makes all inaccessible, as they are.
  void seal_off() const noexcept;

  [[nodiscard]] inline std::size_t zones() const noexcept { return zone_count_; }
  [[nodiscard]] inline std::size_t bytes() const noexcept { return zone_count_ * space_.zone_bytes(); }
  /// Bytes that are dead and wait.
  [[nodiscard]] inline std::size_t quarantined() const noexcept { return quarantined_; }

  /// Calls visitor(number, strip) with the first strip of each mapping.
  template <class Visitor>
  void visit_mappings(Visitor&& visitor) const {
    constexpr auto each = static_cast<std::uint32_t>(shadow_zone::strips);
    for (std::uint32_t z = zones_; z != no_zone; z = space_.zone(z).next) {
      for (std::uint32_t s = z * each; s < (z + 1) * each; ++s) {
        shadow_strip& strip = space_.strip(s);
        if (strip.mapped && strip.first == s) visitor(s, strip);
      }
    }
  }

 private:
  [[nodiscard]] std::uint32_t claim(std::uint32_t count) noexcept;
  [[nodiscard]] std::uint32_t find(std::uint32_t count, std::size_t aligned) noexcept;
  [[nodiscard]] std::uint32_t find_in(std::uint32_t zone, std::uint32_t from, std::uint32_t count,
                                      std::size_t aligned) noexcept;
  template <class Goes>
  std::size_t give_back_if(const Goes& goes) noexcept;

  shadow_space& space_;
  const void* const holder_;
  const char* const name_;
  const std::size_t max_bytes_;
  const shadow_hold hold_;

  std::uint32_t zones_ = no_zone;  ///< list, the latest first
  std::uint32_t zone_count_ = 0;
  std::uint32_t cursor_zone_ = no_zone;  ///< where the next search begins
  std::uint32_t cursor_strip_ = 0;       ///< of that zone
  std::uint32_t oldest_ = none;          ///< quarantine of mappings, oldest first
  std::uint32_t newest_ = none;
  std::size_t quarantined_ = 0;  ///< bytes
};

}  // namespace strata::mem
