// SPDX-License-Identifier: Apache-2.0
// exposition_probe DIRECTORY: makes stacks of many shapes with blocks in them and writes, for each, NAME.txt, NAME.json and
// NAME.prom there; all.prom has two resources on one page. exposition_forms_test.py reads them.
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory_resource>
#include <random>
#include <string>
#include <vector>

import strata.pmr;

namespace sp = strata::pmr;

namespace {

std::string directory;

// Blocks of many sizes, some of them gone again.
class load {
 public:
  explicit load(std::pmr::memory_resource* memory, std::size_t largest = 5000) : memory_(memory) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 400; ++i) take(1 + random() % (i % 20 == 0 ? largest : 300));
    for (std::size_t i = 0; i < blocks_.size(); i += 3) give(blocks_[i]);
  }
  ~load() {
    for (block& b : blocks_) give(b);
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;

 private:
  struct block {
    void* at;
    std::size_t bytes;
  };
  void take(std::size_t bytes) {
    blocks_.push_back({memory_->allocate(bytes), bytes});
    std::memset(blocks_.back().at, 1, bytes);
  }
  void give(block& b) {
    if (b.at != nullptr) memory_->deallocate(b.at, b.bytes);
    b.at = nullptr;
  }
  std::pmr::memory_resource* memory_;
  std::vector<block> blocks_;
};

template <class Write>
void to_file(const std::string& name, Write&& write) {
  std::FILE* const file = std::fopen((directory + "/" + name).c_str(), "w");
  if (file == nullptr) std::abort();
  write(file);
  std::fclose(file);
}

void write_forms(const std::string& file, const sp::layer& top, const char* resource) {
  to_file(file + ".txt", [&](std::FILE* f) { top.write_report(f); });
  to_file(file + ".json", [&](std::FILE* f) { top.write_json(f, resource); });
  to_file(file + ".prom", [&](std::FILE* f) { top.write_prometheus(f, resource); });
}

template <class Stack>
void show(const std::string& file, Stack& memory, const char* resource = "") {
  const load work(&memory);
  write_forms(file, memory, resource);
}

constexpr sp::pages known{.knows_resident = true};

}  // namespace

int main(int /*count*/, char** arguments) {
  directory = arguments[1];
  {
    sp::stack memory{known};
    show("pages", memory);
  }
  {
    sp::stack memory{known, sp::slabs{}};
    show("slabs", memory);
  }
  {
    sp::stack memory{sp::pages{}, sp::limit{.bytes = 64 << 20}, sp::slabs{}, sp::limit{.bytes = 8 << 20}};
    show("limits", memory, "odd \"name\" \\ with\nall \xC3\xA9 and \xFF");
  }
  {
    sp::stack memory{known, sp::heap{}, sp::debug{}};
    show("debug", memory);
  }
  {
    sp::stack memory{sp::pages{}, sp::heap{}, sp::synchronized{}};
    show("synchronized", memory);
  }
  {
    sp::stack memory{known, sp::mempool{}};
    show("mempool", memory);
  }
  {
    sp::stack memory{sp::pages{}, sp::slabs{}, sp::guards{.one_in = 4}};
    show("guards", memory);
  }
  {
    sp::stack memory{sp::pages{}, sp::shared_heap{}, sp::shadow{}};
    show("shadow", memory);
  }
  {
    sp::stack memory{sp::borrowed{.resource = std::pmr::new_delete_resource()}, sp::heap{}};
    show("borrowed", memory);
  }
  {
    sp::stack second{known, sp::slabs{.name = "reserve"}};
    sp::stack memory{known, sp::limit{.bytes = 64 << 10}, sp::heap{.min_arena = 16 << 10},
                     sp::fallback{.second = static_cast<std::pmr::memory_resource*>(&second)}};
    const load elsewhere(&second);
    show("fallback", memory);
  }
  {
    sp::page_resource source(known);
    sp::heap_resource<sp::page_resource, sp::threads::one> small(&source);
    sp::slab_resource<sp::page_resource> large(&source);
    sp::size_split_resource<> both(&small, sp::size_split<>{.large = &large});
    show("size_split", both);
  }
  {
    sp::limit_adaptor<> memory(std::pmr::new_delete_resource(), sp::limit{.bytes = 1 << 20});
    show("no_source", memory);
  }
  {
    sp::stack lower{known, sp::slabs{}};
    sp::heap_resource<> one(&lower, {.name = "heap"});
    sp::heap_resource<> other(&lower, {.name = "heap"});
    const load of_other(&other);
    show("shared_below", one);
  }
  {
    sp::stack items{known, sp::slabs{}};
    sp::stack buffers{sp::pages{}, sp::slabs{}};
    const load of_items(&items);
    const load of_buffers(&buffers);
    sp::report first;
    sp::report second;
    items.collect(first);
    buffers.collect(second);
    const std::array<sp::exposed, 2> both{{{"items", &first}, {"buffers", &second}}};
    to_file("all.prom", [&](std::FILE* f) { sp::write_prometheus(both, f); });
  }
  return 0;
}
