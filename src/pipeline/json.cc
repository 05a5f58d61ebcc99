// SPDX-License-Identifier: Apache-2.0
#include "pipeline/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <string>
#include <vector>

namespace dhub::pipeline {
namespace {

namespace json = boost::json;

// Builds the value as the library's own parser does, but with the nearest double to what is written: the library's own
// is off by a little for many digits, so that a number would change each time it is printed and read.
struct NearestDoubles {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();
  using Ec = json::error_code;
  using Text = json::string_view;

  json::value_stack values;
  std::string number;

  bool on_document_begin(Ec&) { return values.reset(), true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) { return true; }
  bool on_object_end(std::size_t size, Ec&) { return values.push_object(size), true; }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(std::size_t size, Ec&) { return values.push_array(size), true; }
  bool on_key_part(Text part, std::size_t, Ec&) { return values.push_chars(part), true; }
  bool on_key(Text part, std::size_t, Ec&) { return values.push_key(part), true; }
  bool on_string_part(Text part, std::size_t, Ec&) { return values.push_chars(part), true; }
  bool on_string(Text part, std::size_t, Ec&) { return values.push_string(part), true; }
  bool on_number_part(Text part, Ec&) { return number.append(part.data(), part.size()), true; }
  bool on_int64(std::int64_t value, Text, Ec&) { return number.clear(), values.push_int64(value), true; }
  bool on_uint64(std::uint64_t value, Text, Ec&) { return number.clear(), values.push_uint64(value), true; }
  bool on_double(double near, Text part, Ec&) {
    number.append(part.data(), part.size());
    std::from_chars(number.data(), number.data() + number.size(), near);  // out of range: it stays as it is
    return number.clear(), values.push_double(near), true;
  }
  bool on_bool(bool value, Ec&) { return values.push_bool(value), true; }
  bool on_null(Ec&) { return values.push_null(), true; }
  bool on_comment_part(Text, Ec&) { return true; }
  bool on_comment(Text, Ec&) { return true; }
};

bool has_infinity(const json::value& value) {
  if (value.is_double()) return !std::isfinite(value.get_double());
  if (const auto* list = value.if_array()) return std::any_of(list->begin(), list->end(), has_infinity);
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(), [](const auto& member) { return has_infinity(member.value()); });
  return false;
}

void print(const json::value& value, std::string& out);

void print(const json::object& object, std::string& out) {
  std::vector<const json::key_value_pair*> members;
  for (const auto& member : object) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->key() < b->key(); });
  out += '{';
  for (const auto* member : members) {
    if (member != members.front()) out += ',';
    out += json::serialize(member->key());
    out += ':';
    print(member->value(), out);
  }
  out += '}';
}

void print(const json::array& list, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    print(list[i], out);
  }
  out += ']';
}

void print(const json::value& value, std::string& out) {
  if (const auto* object = value.if_object()) return print(*object, out);
  if (const auto* list = value.if_array()) return print(*list, out);
  if (value.is_double()) {
    fmt::format_to(std::back_inserter(out), "{}", value.get_double() + 0.0);  // a zero has no sign
    return;
  }
  out += json::serialize(value);
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDeepestJson;
  json::error_code error;
  json::basic_parser<NearestDoubles> parser(options);
  const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (!error && read < text.size()) error = json::error::extra_data;
  if (error == json::error::too_deep)
    return fail(ErrorCode::Malformed, fmt::format("The JSON is nested deeper than {} levels.", kDeepestJson));
  if (error) return fail(ErrorCode::Malformed, fmt::format("This is not JSON: {}.", error.message()));
  json::value value = parser.handler().values.release();
  if (has_infinity(value)) return fail(ErrorCode::Malformed, "The JSON holds a number that is too large.");
  return value;
}

Result<std::string> canonical_json(std::string_view text) {
  ASSIGN_OR_RETURN(const json::value value, parse_json(text));
  std::string out;
  out.reserve(text.size());
  print(value, out);
  return out;
}

}  // namespace dhub::pipeline
