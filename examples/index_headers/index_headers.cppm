// SPDX-License-Identifier: Apache-2.0
export module index_headers;

export import :child;
export import :counting_resource;
export import :index;
export import :measurement;
export import :memories;
export import :progress;
export import :source_file;
export import :table;
export import :tokenizer;
export import :tree;
export import :usage;
