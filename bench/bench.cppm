// SPDX-License-Identifier: Apache-2.0
export module bench;

export import :churn;
export import :containers;
export import :contenders;
export import :footprint;
export import :pair;
export import :random;
export import :ratio_table;
export import :workload;
export import :workloads;
