// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dhub::cli {

enum class Lines { One, Many };

// Text from a server, safe to show: ANSI and OSC sequences and every other control character are taken out, bytes that
// are not UTF-8 become U+FFFD. Lines::One turns line breaks and tabs into a space; Lines::Many keeps them.
[[nodiscard]] std::string printable(std::string_view text, Lines lines = Lines::One);

// Columns that well-formed text takes in a terminal: two for East Asian wide characters and emoji, none for marks.
[[nodiscard]] std::size_t display_width(std::string_view text);

// At most `width` columns, "..." at the end when something was cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t width);

}  // namespace dhub::cli
