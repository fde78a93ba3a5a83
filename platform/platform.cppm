// SPDX-License-Identifier: Apache-2.0
export module strata.platform;

export import :atomic;
export import :clock;
export import :cpu;
export import :error;
export import :facts;
export import :fault;
export import :fork;
export import :guard;
export import :large_page;
export import :lock;
export import :mappings;
export import :memory;
export import :page;
export import :segment;
export import :thread_exit;
