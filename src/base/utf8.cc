// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <cstddef>

namespace dhub {
namespace {

// Length by the first byte; 0 when no code point begins with it.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

bool in_range(char32_t value, std::size_t length) {
  if (length == 3) return value >= 0x800 && (value < 0xd800 || value > 0xdfff);
  if (length == 4) return value >= 0x10000 && value <= 0x10ffff;
  return true;
}

}  // namespace

CodePoint take_code_point(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = length_of(first);
  char32_t value = length <= 1 ? first : first & (0x7fU >> length);
  bool valid = length > 0 && length <= text.size();
  for (std::size_t i = 1; valid && i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    valid = (byte & 0xc0) == 0x80;
    value = (value << 6) | (byte & 0x3f);
  }
  valid = valid && in_range(value, length);
  const CodePoint taken{value, valid, text.substr(0, valid ? length : 1)};
  text.remove_prefix(taken.bytes.size());
  return taken;
}

bool is_utf8(std::string_view text) {
  while (!text.empty())
    if (!take_code_point(text).valid) return false;
  return true;
}

bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0x200e || c == 0x200f ||
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace dhub
