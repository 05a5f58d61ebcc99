// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace dhub::cli {
namespace {

constexpr char kEscape = '\x1b';
constexpr char kBell = '\x07';

// Takes the rest of an escape sequence whose ESC is gone already: CSI up to its final byte, OSC and its like up to BEL
// or ST, or a two-byte sequence. An unfinished string sequence takes at most what follows in the same line.
void skip_escape_sequence(std::string_view& text) {
  if (text.empty()) return;
  const char kind = text.front();
  text.remove_prefix(1);
  if (kind == '[') {
    while (!text.empty() && text.front() >= 0x20 && text.front() < 0x40) text.remove_prefix(1);
    if (!text.empty() && text.front() >= 0x40 && text.front() < 0x7f) text.remove_prefix(1);
    return;
  }
  if (std::string_view("]PX^_").find(kind) == std::string_view::npos) return;
  while (!text.empty() && text.front() != '\n') {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == kBell) return;
    if (c == kEscape) {
      if (!text.empty() && text.front() == '\\') text.remove_prefix(1);
      return;
    }
  }
}

struct Range {
  char32_t first;
  char32_t last;
};

bool within(const Range* begin, const Range* end, char32_t value) {
  const Range* found = std::lower_bound(begin, end, value, [](const Range& r, char32_t v) { return r.last < v; });
  return found != end && found->first <= value;
}

// The blocks that matter for names and messages; rising.
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x33ff},  {0x3400, 0x4dbf},
                           {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xac00, 0xd7a3},  {0xf900, 0xfaff},
                           {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},  {0x1f300, 0x1f64f},
                           {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
constexpr Range kMarks[] = {{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},  {0x064b, 0x065f},
                            {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d},  {0x20d0, 0x20ff},
                            {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};

std::size_t width_of(char32_t value) {
  if (value < 0x300) return 1;
  if (within(std::begin(kMarks), std::end(kMarks), value)) return 0;
  return within(std::begin(kWide), std::end(kWide), value) ? 2 : 1;
}

}  // namespace

std::string printable(std::string_view text, Lines lines) {
  std::string out;
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    if (!next.valid) {
      out += "\xef\xbf\xbd";
    } else if (next.value == static_cast<char32_t>(kEscape)) {
      skip_escape_sequence(text);
    } else if (next.value == '\n' || next.value == '\t') {
      out += lines == Lines::Many ? next.bytes : std::string_view(" ");
    } else if (!is_control(next.value)) {
      out += next.bytes;
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) width += width_of(take_code_point(text).value);
  return width;
}

std::string cut_to(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view dots = std::string_view("...").substr(0, width);
  std::size_t room = width - dots.size();
  std::string out;
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    const std::size_t wanted = width_of(next.value);
    if (wanted > room) break;
    room -= wanted;
    out += next.bytes;
  }
  return out.append(dots);
}

}  // namespace dhub::cli
