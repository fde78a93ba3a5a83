// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <string_view>

module cache_server:service.impl;

import :buffer;
import :service;
import :shard;
import :store;

import strata.pmr;

namespace cache_server {

namespace {

namespace sp = strata::pmr;

// Text for a buffer, whose memory may run out where nothing may be thrown.
class into {
 public:
  explicit into(buffer& out) noexcept : out_(&out) {}
  [[nodiscard]] sp::text_sink sink() noexcept {
    return {[](void* to, const char* text, std::size_t bytes) noexcept {
              auto* const self = static_cast<into*>(to);
              try {
                self->out_->append({text, bytes});
              } catch (const std::bad_alloc&) {
                self->failed_ = true;
              }
            },
            this};
  }
  void check() const {
    if (failed_) throw std::bad_alloc();
  }

 private:
  buffer* out_;
  bool failed_ = false;
};

class digits {
 public:
  explicit digits(std::uint64_t number) noexcept
      : length_(static_cast<std::size_t>(std::to_chars(text_.data(), text_.data() + text_.size(), number).ptr -
                                         text_.data())) {}
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), length_}; }

 private:
  std::array<char, 24> text_;
  std::size_t length_;
};

void append(buffer& out, std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts) out.append(text);
}

void stat(buffer& out, std::string_view name, std::string_view value) {
  append(out, {"STAT ", name, " ", value, "\r\n"});
}
void stat(buffer& out, std::string_view name, std::uint64_t value) { stat(out, name, digits(value).text()); }

struct named_figure {
  std::string_view name;  ///< as memcached's; a counter has _total behind it for Prometheus
  std::uint64_t store_figures::* value;
  std::string_view type;
  std::string_view help;
};
constexpr std::array kFigures{
    named_figure{"curr_items", &store_figures::items, "gauge", "Items in the store."},
    named_figure{"bytes", &store_figures::bytes, "gauge", "Bytes of items, heads included."},
    named_figure{"total_items", &store_figures::total_items, "counter", "Items stored so far."},
    named_figure{"evictions", &store_figures::evictions, "counter", "Items that had to make room."},
    named_figure{"reclaimed", &store_figures::expired, "counter", "Items found expired."},
    named_figure{"cmd_set", &store_figures::sets, "counter", "Items offered."},
    named_figure{"get_hits", &store_figures::get_hits, "counter", "Keys asked for and found."},
    named_figure{"get_misses", &store_figures::get_misses, "counter", "Keys asked for and not found."},
    named_figure{"delete_hits", &store_figures::delete_hits, "counter", "Items deleted."},
    named_figure{"delete_misses", &store_figures::delete_misses, "counter", "Keys to be deleted and not found."},
    named_figure{"incr_hits", &store_figures::incr_hits, "counter", "Numbers incremented."},
    named_figure{"incr_misses", &store_figures::incr_misses, "counter", "Numbers to be incremented and not found."},
    named_figure{"decr_hits", &store_figures::decr_hits, "counter", "Numbers decremented."},
    named_figure{"decr_misses", &store_figures::decr_misses, "counter", "Numbers to be decremented and not found."},
    named_figure{"cas_hits", &store_figures::cas_hits, "counter", "Items replaced by cas."},
    named_figure{"cas_misses", &store_figures::cas_misses, "counter", "Keys for cas and not found."},
    named_figure{"cas_badval", &store_figures::cas_badval, "counter", "Items changed before their cas."},
    named_figure{"touch_hits", &store_figures::touch_hits, "counter", "Items touched."},
    named_figure{"touch_misses", &store_figures::touch_misses, "counter", "Keys to be touched and not found."},
};

struct named_count {
  std::string_view name;
  std::atomic<std::uint64_t> service_counts::* value;
  std::string_view type;
  std::string_view help;
};
constexpr std::array kCounts{
    named_count{"curr_connections", &service_counts::connections, "gauge", "Clients there are."},
    named_count{"total_connections", &service_counts::connections_total, "counter", "Clients there were."},
    named_count{"rejected_connections", &service_counts::connections_rejected, "counter", "Clients too many."},
    named_count{"idle_kicks", &service_counts::connections_idle, "counter", "Clients closed because they were idle."},
    named_count{"starved_connections", &service_counts::connections_starved, "counter",
                "Clients closed because there was no memory for them."},
    named_count{"bytes_read", &service_counts::bytes_read, "counter", "Bytes from clients."},
    named_count{"bytes_written", &service_counts::bytes_written, "counter", "Bytes to clients."},
    named_count{"protocol_errors", &service_counts::protocol_errors, "counter", "Lines that were no valid command."},
    named_count{"scrapes", &service_counts::scrapes, "counter", "Pages of metrics made."},
};

void metric(buffer& out, std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
  if (name.starts_with("total_")) name.remove_prefix(std::string_view("total_").size());
  const std::string_view total = type == "counter" ? "_total" : "";
  const std::string_view prefix = " cache_server_";
  append(out, {"# HELP", prefix, name, total, " ", help, "\n# TYPE", prefix, name, total, " ", type, "\n",
               prefix.substr(1), name, total, " ", digits(value).text(), "\n"});
}

// STAT resource:index:layer:figure value
void layer_stats(buffer& out, std::string_view resource, const sp::layer& top) {
  sp::report layers;
  top.collect(layers);
  std::size_t index = 0;
  for (const sp::report::row& r : layers.rows()) {
    const digits number(index++);
    const auto one = [&](std::string_view figure, std::uint64_t value) {
      append(out, {"STAT ", resource, ":", number.text(), ":", r.name, ":", figure, " ", digits(value).text(), "\r\n"});
    };
    one("live", r.figures.live);
    one("kept", r.figures.kept);
    one("overhead", r.figures.overhead);
    one("upstream", r.figures.upstream);
    one("peak", r.figures.peak);
    one("blocks", r.figures.live_blocks);
    one("allocations", r.figures.allocations);
    one("failures", r.figures.failures);
  }
  const sp::attribution all = layers.attribute();
  const auto whole = [&](std::string_view step, std::uint64_t value) {
    append(out, {"STAT ", resource, ":", step, " ", digits(value).text(), "\r\n"});
  };
  whole("requested", all.requested);
  whole("handed_out", all.handed_out);
  whole("carved", all.carved);
  whole("mapped", all.mapped);
  if (all.resident.has_value()) whole("resident", *all.resident);
}

}  // namespace

bool service::write_stats(std::string_view what, buffer& out) const {
  if (what.empty()) {
    const std::uint32_t at = now();
    const store_figures figures = items_.figures();
    stat(out, "uptime", at - started_);
    stat(out, "time", at);
    stat(out, "version", "1.6.0-strata");
    stat(out, "pointer_size", 8 * sizeof(void*));
    stat(out, "threads", is_.threads);
    stat(out, "limit_maxbytes", is_.budget);
    stat(out, "cmd_get", figures.get_hits + figures.get_misses);
    stat(out, "cmd_flush", items_.flushes());
    stat(out, "cmd_touch", figures.touch_hits + figures.touch_misses);
    for (const named_count& c : kCounts) stat(out, c.name, (counts_.*c.value).load(std::memory_order_relaxed));
    for (const named_figure& f : kFigures) stat(out, f.name, figures.*f.value);
  } else if (what == "settings") {
    stat(out, "maxbytes", is_.budget);
    stat(out, "maxconns", is_.most_connections);
    stat(out, "tcpport", is_.port);
    stat(out, "num_threads", is_.threads);
    stat(out, "item_size_max", items_.largest_value());
    stat(out, "idle_timeout", is_.idle_seconds);
    stat(out, "evictions", "on");
    stat(out, "cas_enabled", "yes");
    stat(out, "stack", is_.stack);
  } else if (what == "strata") {
    layer_stats(out, "items", items_from_);
    layer_stats(out, "buffers", buffers_from_);
  } else {
    return false;
  }
  out.append("END\r\n");
  return true;
}

void service::write_metrics(buffer& out) const {
  sp::report items;
  sp::report buffers;
  items_from_.collect(items);
  buffers_from_.collect(buffers);
  const std::array<sp::exposed, 2> both{{{"items", &items}, {"buffers", &buffers}}};
  into page(out);
  sp::write_prometheus(both, page.sink());
  page.check();
  const store_figures figures = items_.figures();
  for (const named_count& c : kCounts) {
    metric(out, c.name, c.type, c.help, (counts_.*c.value).load(std::memory_order_relaxed));
  }
  for (const named_figure& f : kFigures) metric(out, f.name, f.type, f.help, figures.*f.value);
  metric(out, "limit_bytes", "gauge", "Bytes items may have together.", is_.budget);
}

void service::write_report(buffer& out) const {
  into page(out);
  out.append("[");
  items_from_.write_json(page.sink(), "items");
  out.append(",");
  buffers_from_.write_json(page.sink(), "buffers");
  out.append("]\n");
  page.check();
}

}  // namespace cache_server
