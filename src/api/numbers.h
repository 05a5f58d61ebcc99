// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace dhub::api {

// A whole number in decimal digits, not negative, and nothing else. None when it does not fit T.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() && text[0] != '-';
  return good ? std::optional<T>(number) : std::nullopt;
}

}  // namespace dhub::api
