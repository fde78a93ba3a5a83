// SPDX-License-Identifier: Apache-2.0
export module bench:library;

/// A shared library opened at run time, its names kept from everyone else.
export namespace bench {

/// Never closed: blocks of a heap may outlive whoever opened it, and threads run its destructors when they end.
class library {
 public:
  /// Throws absent.
  explicit library(const char* file);

  /// The function of that name. Throws absent.
  template <class Function>
  [[nodiscard]] inline Function* function(const char* name) const {
    return reinterpret_cast<Function*>(find(name));
  }

 private:
  [[nodiscard]] void* find(const char* name) const;

  void* handle_;
};

}  // namespace bench
