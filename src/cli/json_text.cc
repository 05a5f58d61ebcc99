// SPDX-License-Identifier: Apache-2.0
#include "cli/json_text.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace dhub::cli {
namespace {

constexpr std::size_t kMostDepth = 64;

// Sees the keys of each open object go by and stops the parser at the second of a name. Values are built by the
// library's own parser afterwards: its value keeps the last of equal keys and cannot tell. Its doubles are off by a
// little when they have many digits, so the nearest ones are collected here.
struct DuplicateKeyHandler {
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using Ec = boost::json::error_code;
  using Text = boost::json::string_view;

  std::vector<std::set<std::string>> open;
  std::string key;
  bool duplicate = false;
  std::string number;
  std::vector<double> nearest;  // in the order of the text

  bool on_document_begin(Ec&) { return true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Ec&) {
    open.pop_back();
    return true;
  }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(std::size_t, Ec&) { return true; }
  bool on_key_part(Text part, std::size_t, Ec&) {
    key.append(part.data(), part.size());
    return true;
  }
  bool on_key(Text part, std::size_t, Ec& ec) {
    key.append(part.data(), part.size());
    duplicate = !open.back().insert(key).second;
    if (duplicate) {
      ec = boost::json::error::syntax;
      return false;
    }
    key.clear();
    return true;
  }
  bool on_string_part(Text, std::size_t, Ec&) { return true; }
  bool on_string(Text, std::size_t, Ec&) { return true; }
  bool on_number_part(Text part, Ec&) {
    number.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t, Text, Ec&) {
    number.clear();
    return true;
  }
  bool on_uint64(std::uint64_t, Text, Ec&) {
    number.clear();
    return true;
  }
  bool on_double(double near, Text part, Ec&) {
    number.append(part.data(), part.size());
    std::from_chars(number.data(), number.data() + number.size(), near);  // out of range: it stays as it is
    number.clear();
    nearest.push_back(near);
    return true;
  }
  bool on_bool(bool, Ec&) { return true; }
  bool on_null(Ec&) { return true; }
  bool on_comment_part(Text, Ec&) { return true; }
  bool on_comment(Text, Ec&) { return true; }
};

void put_nearest(boost::json::value& value, std::vector<double>::const_iterator& next) {
  if (auto* object = value.if_object()) {
    for (auto& member : *object) put_nearest(member.value(), next);
  } else if (auto* list = value.if_array()) {
    for (auto& item : *list) put_nearest(item, next);
  } else if (value.is_double()) {
    value = *next++;
  }
}

// Reads back as the same number, and as one with a fraction or exponent.
std::string number_text(double number) {
  if (!std::isfinite(number)) return number > 0 ? "1e999" : "-1e999";  // beyond a double; JSON has no other word
  std::string text = fmt::format("{}", number);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

void append_compact(std::string& out, const boost::json::value& value) {
  if (value.is_object()) {
    char before = '{';
    for (const auto& [key, member] : value.get_object()) {
      out += std::exchange(before, ',') + quote_json({key.data(), key.size()}) + ':';
      append_compact(out, member);
    }
    out += value.get_object().empty() ? "{}" : "}";
  } else if (value.is_array()) {
    char before = '[';
    for (const auto& item : value.get_array()) {
      out += std::exchange(before, ',');
      append_compact(out, item);
    }
    out += value.get_array().empty() ? "[]" : "]";
  } else if (value.is_string()) {
    out += quote_json({value.get_string().data(), value.get_string().size()});
  } else if (value.is_double()) {
    out += number_text(value.get_double());
  } else {
    out += boost::json::serialize(value);
  }
}

// Copies a string literal, which begins here, with control characters escaped.
void copy_string(std::string& out, std::string_view& text) {
  bool escaped = false;
  bool first = true;
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    if (next.valid && is_control(next.value))
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(next.value));
    else
      out += next.bytes;
    if (!first && !escaped && next.value == '"') return;
    escaped = !escaped && next.value == '\\';
    first = false;
  }
}

tl::unexpected<Error> malformed_at(std::string_view text, std::size_t offset, const std::string& what) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto newline = before.rfind('\n');
  const std::size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return fail(ErrorCode::Malformed, fmt::format("{}:{}: {}", line, column, what));
}

}  // namespace

Result<boost::json::value> parse_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kMostDepth;
  boost::json::basic_parser<DuplicateKeyHandler> parser(options);
  boost::json::error_code ec;
  std::size_t consumed = parser.write_some(false, text.data(), text.size(), ec);
  if (parser.handler().duplicate)
    return malformed_at(text, consumed, fmt::format("the key '{}' stands here twice", parser.handler().key));
  if (!ec && consumed < text.size()) ec = boost::json::error::extra_data;
  if (ec) return malformed_at(text, consumed, fmt::format("this is not JSON: {}", ec.message()));
  auto value = boost::json::parse({text.data(), text.size()}, ec, {}, options);
  if (ec) return malformed_at(text, consumed, fmt::format("this is not JSON: {}", ec.message()));
  auto next = parser.handler().nearest.cbegin();
  put_nearest(value, next);
  return value;
}

std::string to_compact_json(const boost::json::value& value) {
  std::string out;
  append_compact(out, value);
  return out;
}

std::string to_json(const boost::json::value& value) {
  return indent_json(to_compact_json(value));
}

std::string indent_json(std::string_view text) {
  std::string out;
  std::size_t depth = 0;
  bool opened = false;  // nothing stands behind the last bracket yet
  const auto new_line = [&] { out.append(1, '\n').append(2 * depth, ' '); };
  while (!text.empty()) {
    const char c = text.front();
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      text.remove_prefix(1);
      continue;
    }
    const bool closes = c == '}' || c == ']';
    if (closes && depth > 0) --depth;
    if (opened != closes) new_line();
    opened = c == '{' || c == '[';
    if (c == '"') {
      copy_string(out, text);
      continue;
    }
    text.remove_prefix(1);
    out += c;
    if (opened) ++depth;
    if (c == ':') out += ' ';
    if (c == ',') new_line();
  }
  return out + '\n';
}

std::string quote_json(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    if (!next.valid)
      out += "\\ufffd";
    else if (next.value == '"' || next.value == '\\')
      out.append(1, '\\').append(next.bytes);
    else if (next.value == '\n')
      out += "\\n";
    else if (next.value == '\t')
      out += "\\t";
    else if (is_control(next.value))
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(next.value));
    else
      out += next.bytes;
  }
  return out + '"';
}

std::string pointer_token(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

}  // namespace dhub::cli
