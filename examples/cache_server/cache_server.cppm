// SPDX-License-Identifier: Apache-2.0
export module cache_server;

export import :buffer;
export import :command;
export import :conversation;
export import :http;
export import :item;
export import :memories;
export import :refusing_adaptor;
export import :server;
export import :service;
export import :session;
export import :shard;
export import :sockets;
export import :store;
export import :worker;
