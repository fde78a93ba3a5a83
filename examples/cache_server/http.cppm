// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <span>

export module cache_server:http;

import :buffer;
import :conversation;
import :service;

/// A client that asks one question in HTTP: GET /metrics, /healthz or /report.json. The answer ends the conversation.
export namespace cache_server {

class http final : public conversation {
 public:
  static constexpr std::size_t longest_request = 8192;  ///< bytes, up to the empty line

  http(service& all, std::pmr::memory_resource* buffers) noexcept
      : conversation(buffers), all_(all), input_(buffers), buffers_(buffers) {}

  [[nodiscard]] std::span<char> room() override { return input_.room(1024); }
  void received(std::size_t bytes) override { input_.added(bytes); }
  void work() override;
  [[nodiscard]] std::size_t bytes() const noexcept override { return sizeof(*this); }

 private:
  void answer(const char* status, const char* type, const buffer& body);

  service& all_;
  buffer input_;
  std::pmr::memory_resource* const buffers_;
};

}  // namespace cache_server
