// SPDX-License-Identifier: Apache-2.0
export module strata.mem;

export import :block;
export import :boundary_heap;
export import :bytes;
export import :free_index;
export import :mutex;
export import :page_run;
