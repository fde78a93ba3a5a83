// SPDX-License-Identifier: Apache-2.0
export module strata.pmr;

export import :allocation_error;
export import :borrowed_resource;
export import :heap_resource;
export import :layer;
export import :ledger;
export import :misuse;
export import :named_cache;
export import :object_pool;
export import :page_resource;
export import :pooled;
export import :report;
export import :slab_resource;
export import :stack;
export import :synchronized_adaptor;
