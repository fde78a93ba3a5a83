// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:address_tree;

import :bytes;

/// Objects ordered by their own addresses, through members `lower` and `upper` of theirs: a treap (Seidel, Aragon 1989).
/// The tree is its root.
///
/// A node's rank is a hash of its address. A node ranks above all below it, so the shape is that of a tree grown in
/// random order, whatever the order in which nodes came and went: O(log n) expected for each operation, 3 ln n nodes on
/// the way. Nothing is kept but the two pointers; nothing recurses.
export namespace strata::mem {

/// What places `node` among the others: no two addresses have the same.
[[nodiscard]] inline std::uint64_t address_rank(const void* node) noexcept {
  // splitmix64's last steps: one to one.
  std::uint64_t x = address(node);
  x = (x ^ (x >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D0'49BB'1331'11EBU;
  return x ^ (x >> 31U);
}

/// Pre: `node` is in no tree.
template <class T>
inline void tree_insert(T*& root, T* node) noexcept {
  const std::uint64_t rank = address_rank(node);
  T** place = &root;
  while (*place != nullptr && address_rank(*place) > rank) {
    place = address(node) < address(*place) ? &(*place)->lower : &(*place)->upper;
  }
  // What hung there is cut along the new address; the halves hang below the node.
  T* rest = *place;
  *place = node;
  T** lower = &node->lower;
  T** upper = &node->upper;
  while (rest != nullptr) {
    if (address(rest) < address(node)) {
      *lower = rest;
      lower = &rest->upper;
      rest = rest->upper;
    } else {
      *upper = rest;
      upper = &rest->lower;
      rest = rest->lower;
    }
  }
  *lower = nullptr;
  *upper = nullptr;
}

/// Pre: `node` is in the tree.
template <class T>
inline void tree_erase(T*& root, T* node) noexcept {
  T** place = &root;
  while (*place != node) place = address(node) < address(*place) ? &(*place)->lower : &(*place)->upper;
  T* lower = node->lower;
  T* upper = node->upper;
  while (lower != nullptr && upper != nullptr) {
    if (address_rank(lower) > address_rank(upper)) {
      *place = lower;
      place = &lower->upper;
      lower = lower->upper;
    } else {
      *place = upper;
      place = &upper->lower;
      upper = upper->lower;
    }
  }
  *place = lower != nullptr ? lower : upper;
}

/// The node at the highest address not above `p`, or null. `visited`, where given, goes up by one for each node on the
/// way.
template <class T>
[[nodiscard]] inline T* tree_at_or_below(T* root, const void* p, std::size_t* visited = nullptr) noexcept {
  T* best = nullptr;
  for (T* node = root; node != nullptr;) {
    if (visited != nullptr) ++*visited;
    if (address(node) <= address(p)) {
      best = node;
      node = node->upper;
    } else {
      node = node->lower;
    }
  }
  return best;
}

/// The node at the lowest address above `p`, or null.
template <class T>
[[nodiscard]] inline T* tree_above(T* root, const void* p) noexcept {
  T* best = nullptr;
  for (T* node = root; node != nullptr;) {
    if (address(node) > address(p)) {
      best = node;
      node = node->lower;
    } else {
      node = node->upper;
    }
  }
  return best;
}

}  // namespace strata::mem
