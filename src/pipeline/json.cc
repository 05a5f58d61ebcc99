// SPDX-License-Identifier: Apache-2.0
#include "pipeline/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <vector>

namespace dhub::pipeline {
namespace {

namespace json = boost::json;

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
    fmt::format_to(std::back_inserter(out), "{}", value.get_double());
    return;
  }
  out += json::serialize(value);
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDeepestJson;
  json::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error == json::error::too_deep)
    return fail(ErrorCode::Malformed, fmt::format("The JSON is nested deeper than {} levels.", kDeepestJson));
  if (error) return fail(ErrorCode::Malformed, fmt::format("This is not JSON: {}.", error.message()));
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
