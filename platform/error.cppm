// SPDX-License-Identifier: Apache-2.0
module;
export module strata.platform:error;

/// What the OS said when it refused: which call, and which errno. A value, made and passed without allocating.
export namespace strata::platform {

struct os_error {
  const char* call = nullptr;  ///< name of the failed call, a literal; null when nothing failed
  int code = 0;                ///< errno as that call left it

  [[nodiscard]] inline constexpr bool failed() const noexcept { return call != nullptr; }
};

inline constexpr os_error success{};

/// The errno's name, such as "ENOMEM"; "an unknown errno" for one the system does not know. A literal.
[[nodiscard]] const char* name_of(os_error error) noexcept;

}  // namespace strata::platform
