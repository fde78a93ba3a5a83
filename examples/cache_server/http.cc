// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <string_view>

#include "absl/strings/str_cat.h"

module cache_server:http.impl;

import :buffer;
import :command;
import :conversation;
import :http;
import :service;

namespace cache_server {

namespace {

constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr const char* kMetrics = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kJson = "application/json";

bool is_complete(std::string_view text) noexcept {
  return text.find("\r\n\r\n") != std::string_view::npos || text.find("\n\n") != std::string_view::npos;
}

}  // namespace

void http::work() {
  if (finished()) return;
  const std::string_view text = input_.text();
  buffer body(buffers_);
  if (!is_complete(text)) {
    if (text.size() <= longest_request) return;
    body.append("the request is too long\n");
    return answer("431 Request Header Fields Too Large", kPlain, body);
  }
  std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  const std::string_view method = take_word(line);
  const std::string_view path = take_word(line);
  const std::string_view version = take_word(line);
  if (!version.starts_with("HTTP/1.") || !line.empty()) {
    body.append("this is not HTTP/1.1\n");
    return answer("400 Bad Request", kPlain, body);
  }
  if (method != "GET") {
    body.append("only GET is known\n");
    return answer("405 Method Not Allowed", kPlain, body);
  }
  if (path == "/metrics") {
    all_.counts().scrapes.fetch_add(1, std::memory_order_relaxed);
    all_.write_metrics(body);
    return answer("200 OK", kMetrics, body);
  }
  if (path == "/healthz") {
    body.append("ok\n");
    return answer("200 OK", kPlain, body);
  }
  if (path == "/report.json") {
    all_.write_report(body);
    return answer("200 OK", kJson, body);
  }
  body.append("there are /metrics, /healthz and /report.json\n");
  answer("404 Not Found", kPlain, body);
}

void http::answer(const char* status, const char* type, const buffer& body) {
  const absl::AlphaNum length(body.size());
  output().append("HTTP/1.1 ");
  output().append(status);
  output().append("\r\nContent-Type: ");
  output().append(type);
  output().append("\r\nContent-Length: ");
  output().append({length.data(), length.size()});
  output().append("\r\nAllow: GET\r\nConnection: close\r\n\r\n");
  output().append(body.text());
  finish();
}

}  // namespace cache_server
