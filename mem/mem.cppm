// SPDX-License-Identifier: Apache-2.0
export module strata.mem;

export import :block;
export import :boundary_heap;
export import :bytes;
export import :cache_registry;
export import :cached_slabs;
export import :free_index;
export import :large_blocks;
export import :list;
export import :mutex;
export import :page_run;
export import :size_class;
export import :slab;
export import :slab_store;
export import :small_mutex;
export import :thread_cache;
