// SPDX-License-Identifier: Apache-2.0
module;
#include <optional>
#include <span>
#include <string_view>

module bench:targets.impl;

import :targets;

namespace bench {
namespace {

constexpr bool kRatio = true, kFigure = false;

constexpr target kTargets[] = {
    {"pair_16", 0.75, kRatio},        {"pair_64", 0.75, kRatio},       {"pair_256", 0.75, kRatio},
    {"pair_1024", 0.75, kRatio},      {"pair_32k", 1.0, kRatio},       {"pair_64_a64", 0.8, kRatio},
    {"pair_4k_a4k", 0.8, kRatio},     {"batch10k_lifo", 1.0, kRatio},  {"batch10k_fifo", 1.0, kRatio},
    {"batch10k_random", 1.0, kRatio}, {"batch1m_lifo", 1.0, kRatio},   {"batch1m_fifo", 1.0, kRatio},
    {"batch1m_random", 1.0, kRatio},  {"churn_fixed64", 0.8, kRatio},  {"churn_small", 0.85, kRatio},
    {"churn_large", 1.0, kRatio},     {"mt2_churn", 0.9, kRatio},      {"mt16_churn", 0.9, kRatio},
    {"mt2_slots", 1.0, kRatio},       {"prodcons_64", 1.0, kRatio},    {"prodcons_mix", 1.0, kRatio},
    {"list_queue", 0.8, kRatio},      {"list_build", 1.0, kRatio},     {"map_random", 1.0, kRatio},
    {"umap_strings", 1.0, kRatio},    {"vector_strings", 1.0, kRatio}, {"memory_live", 1.08, kFigure},
    {"memory_refill", 1.6, kFigure},  {"memory_empty", 0.05, kFigure}, {"tail_p50", 24, kFigure},
    {"tail_p99", 300, kFigure},
};

// The last two are the published figures: below 4 % on servers, up to eleven times where little but allocation is done.
constexpr goal kShadowGoals[] = {
    {"life_64", "at_once", "published", 0.5}, {"life_64", "batched", "published", 0.2},
    {"churn", "sampled", "plain", 1.05},      {"server", "at_once", "plain", 1.04},
    {"tree", "at_once", "plain", 11},
};

}  // namespace

std::optional<target> find_target(std::string_view row) noexcept {
  for (const target& t : kTargets) {
    if (t.row == row) return t;
  }
  return std::nullopt;
}

std::span<const goal> shadow_goals() noexcept { return kShadowGoals; }

}  // namespace bench
