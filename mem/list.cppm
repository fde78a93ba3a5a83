// SPDX-License-Identifier: Apache-2.0
module;
export module strata.mem:list;

/// Doubly linked lists through members `next` and `prev` of their elements. An element is in one list at most; the list
/// is its head.
export namespace strata::mem {

template <class T>
inline void link_front(T*& head, T* element) noexcept {
  element->next = head;
  element->prev = nullptr;
  if (head != nullptr) head->prev = element;
  head = element;
}

/// Pre: `element` is in the list.
template <class T>
inline void unlink(T*& head, T* element) noexcept {
  if (element->next != nullptr) element->next->prev = element->prev;
  (element->prev != nullptr ? element->prev->next : head) = element->next;
}

}  // namespace strata::mem
