// SPDX-License-Identifier: Apache-2.0
// A cache that speaks the memcached text protocol, its items in a Strata stack chosen by a flag.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory_resource>
#include <string>
#include <string_view>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

import cache_server;
import strata.pmr;

ABSL_FLAG(std::string, stack, "slabs", "The memory of the items, by name.");
ABSL_FLAG(std::uint32_t, memory_mb, 64, "MiB that items may have together; those used least recently make room.");
ABSL_FLAG(std::uint32_t, machine_mb, 0,
          "MiB the stack may take from the system; then, too, items make room. 0: as much as there is.");
ABSL_FLAG(std::uint32_t, largest_value, 1U << 20U, "Bytes a value may have.");
ABSL_FLAG(std::string, listen, "127.0.0.1", "IPv4 address to listen at.");
ABSL_FLAG(std::uint16_t, port, 11211, "Port for clients. 0: any that is free.");
ABSL_FLAG(std::uint16_t, http_port, 0, "Port for /metrics, /healthz and /report.json. 0: any that is free.");
ABSL_FLAG(std::uint32_t, threads, 4, "Threads that serve clients.");
ABSL_FLAG(std::uint32_t, shards, 16, "Locks the store has; a power of two. With 1 the order of use is exact.");
ABSL_FLAG(std::uint32_t, connections, 1024, "Clients there may be at a time.");
ABSL_FLAG(std::uint32_t, idle_seconds, 600, "A client that is silent for longer is closed. 0: never.");
ABSL_FLAG(std::uint32_t, drain_seconds, 2, "Time that clients have at the end to read their last answers.");
ABSL_FLAG(std::uint32_t, refuse_one_in, 0, "For trials: one request for memory in so many is refused. 0: none.");

namespace {

namespace sp = strata::pmr;

constexpr int kNotUsable = 2;  // exit status when the flags cannot be

std::uint32_t seconds_now() noexcept { return static_cast<std::uint32_t>(std::time(nullptr)); }

std::string usage() {
  std::string text =
      "a cache that speaks the memcached text protocol\n\n  cache_server [flags]\n\nmemories for --stack:\n";
  for (const cache_server::memory& m : cache_server::memories()) {
    absl::StrAppendFormat(&text, "  %-18s %s\n", absl::string_view(m.name.data(), m.name.size()), m.what);
  }
  return text;
}

// The budget is short: items go. Whoever asked tries again, if any went.
std::atomic<cache_server::store*> the_store{nullptr};

bool make_room(void* /*argument*/, const sp::shortage& what) noexcept {
  // Where not the budget but the memory below is short, a hole of the size has to come about: some more have to go.
  constexpr std::size_t several = std::size_t{64} << 10;
  cache_server::store* const store = the_store.load(std::memory_order_acquire);
  return store != nullptr && store->evict(what.upstream_failed ? what.bytes + several : what.bytes) != 0;
}

bool has_nothing_live(const sp::layer& memory, const char* what) {
  const sp::statistics figures = memory.stats();
  if (figures.live == 0 && figures.live_blocks == 0) return true;
  std::fprintf(stderr, "cache_server: %zu bytes in %zu blocks of %s are live at the end\n", figures.live,
               figures.live_blocks, what);
  return false;
}

int serve_from(std::pmr::memory_resource& memory, const cache_server::server_options& options) {
  sp::stack buffers{sp::pages{.name = "buffer pages", .knows_resident = true}, sp::slabs{.name = "buffers"}};
  cache_server::refusing_adaptor sometimes(&memory, absl::GetFlag(FLAGS_refuse_one_in));
  sp::limit_adaptor<std::pmr::memory_resource, sp::relieved_limit> budget(
      absl::GetFlag(FLAGS_refuse_one_in) != 0 ? &sometimes : &memory,
      {.name = "budget", .bytes = std::size_t{absl::GetFlag(FLAGS_memory_mb)} << 20U, .when_short = &make_room});
  int exit_code = 0;
  {
    cache_server::store store(
        &budget, &buffers,
        {.largest_value = absl::GetFlag(FLAGS_largest_value), .shards = absl::GetFlag(FLAGS_shards)});
    the_store.store(&store, std::memory_order_release);
    const std::string stack = absl::GetFlag(FLAGS_stack);
    cache_server::service service({.stack = stack,
                                   .budget = budget.limit_bytes(),
                                   .most_connections = absl::GetFlag(FLAGS_connections),
                                   .threads = absl::GetFlag(FLAGS_threads),
                                   .port = options.port,
                                   .idle_seconds = absl::GetFlag(FLAGS_idle_seconds)},
                                  store, budget, buffers, &seconds_now);
    const absl::Status served = cache_server::serve(options, service, &buffers, [](auto port, auto http_port) {
      std::printf("port %u\nhttp_port %u\n", unsigned{port}, unsigned{http_port});
      std::fflush(stdout);
    });
    if (!served.ok()) {
      std::fprintf(stderr, "cache_server: %s\n", std::string(served.message()).c_str());
      exit_code = 1;
    }
    the_store.store(nullptr, std::memory_order_release);
  }
  const bool no_items = has_nothing_live(budget, "items");
  const bool clean = has_nothing_live(buffers, "buffers") && no_items;
  if (clean && exit_code == 0) std::puts("nothing live");
  return clean ? exit_code : 1;
}

bool is_power_of_two(std::uint32_t number) { return number != 0 && (number & (number - 1)) == 0; }

}  // namespace

int main(int count, char** arguments) {
  absl::FlagsUsageConfig config;
  config.contains_help_flags = [](absl::string_view file) {
    return file.find("cache_server") != absl::string_view::npos;
  };
  absl::SetFlagsUsageConfig(config);
  absl::SetProgramUsageMessage(usage());
  absl::ParseCommandLine(count, arguments);

  const cache_server::memory* const memory = cache_server::find_memory(absl::GetFlag(FLAGS_stack));
  if (memory == nullptr || !is_power_of_two(absl::GetFlag(FLAGS_shards)) || absl::GetFlag(FLAGS_threads) == 0 ||
      absl::GetFlag(FLAGS_memory_mb) == 0) {
    std::fprintf(stderr, "cache_server: --stack, --shards, --threads or --memory_mb cannot be so; --help says how\n");
    return kNotUsable;
  }
  cache_server::block_signals();
  const cache_server::server_options options{.address = absl::GetFlag(FLAGS_listen),
                                             .port = absl::GetFlag(FLAGS_port),
                                             .http_port = absl::GetFlag(FLAGS_http_port),
                                             .drain_seconds = absl::GetFlag(FLAGS_drain_seconds)};
  int exit_code = 0;
  try {
    memory->with({.budget = std::size_t{absl::GetFlag(FLAGS_memory_mb)} << 20U,
                  .most_from_os = std::size_t{absl::GetFlag(FLAGS_machine_mb)} << 20U},
                 [&](std::pmr::memory_resource& items) { exit_code = serve_from(items, options); });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cache_server: %s\n", error.what());
    return 1;
  }
  return exit_code;
}
