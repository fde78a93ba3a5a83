// SPDX-License-Identifier: Apache-2.0
export module strata.platform;

export import :clock;
export import :error;
export import :page;
