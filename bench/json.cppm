// SPDX-License-Identifier: Apache-2.0
module;
#include <string>
#include <string_view>

export module bench:json;

/// A JSON document, written from its beginning to its end: the caller opens and closes, commas and quotes come by
/// themselves.
export namespace bench {

class json_writer {
 public:
  void open(char bracket);   ///< { or [
  void close(char bracket);  ///< } or ]
  void key(std::string_view name);
  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(double number);  ///< null when it is no number or infinite
  void value(bool truth);
  void null();

  /// A key and its value.
  template <class Value>
  void field(std::string_view name, const Value& what) {
    key(name);
    value(what);
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  void separate();
  void quote(std::string_view text);

  std::string text_;
};

}  // namespace bench
