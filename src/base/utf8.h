// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace dhub {

// One code point taken off a text, or one byte that is not UTF-8.
struct CodePoint {
  char32_t value = 0;
  bool valid = false;      // false: `bytes` is one byte that does not belong to well-formed UTF-8
  std::string_view bytes;  // as it stands in the text
};

// `text` must not be empty. Overlong forms, surrogates and what lies beyond U+10FFFF are not valid.
[[nodiscard]] CodePoint take_code_point(std::string_view& text);

[[nodiscard]] bool is_utf8(std::string_view text);

// C0, DEL, C1, and the invisible marks that reorder or hide text (bidirectional controls, line separators, BOM).
[[nodiscard]] bool is_control(char32_t code_point);

}  // namespace dhub
