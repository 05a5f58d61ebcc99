// SPDX-License-Identifier: Apache-2.0
#include "pipeline/object_reader.h"

#include <algorithm>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/suggest.h"
#include "model/topic.h"

namespace dhub::pipeline {

namespace json = boost::json;

std::string_view kind_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "true or false";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
  }
  return "something else";
}

std::optional<ObjectReader> ObjectReader::of(const json::value& value, std::string pointer, Findings& findings) {
  if (const auto* object = value.if_object()) return ObjectReader(*object, std::move(pointer), findings);
  findings.invalid(std::move(pointer), fmt::format("must be an object, not {}", kind_of(value)));
  return std::nullopt;
}

void ObjectReader::only(std::string_view noun, std::initializer_list<std::string_view> known) const {
  for (const auto& member : object_) {
    if (findings_.full()) return;
    if (std::find(known.begin(), known.end(), std::string_view(member.key())) != known.end()) continue;
    findings_.invalid(pointer(member.key()), fmt::format("is no {}; {}", noun, did_you_mean(member.key(), known)));
  }
}

bool ObjectReader::wrong_type(std::string_view key, std::string_view wanted, const json::value& value) const {
  findings_.invalid(pointer(key), fmt::format("must be {}, not {}", wanted, kind_of(value)));
  return false;
}

std::optional<ObjectReader> ObjectReader::object(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  return of(*value, pointer(key), findings_);
}

bool ObjectReader::text(std::string_view key, std::string& out) const {
  const json::value* value = find(key);
  if (value == nullptr) return false;
  const auto* string = value->if_string();
  if (string == nullptr) return wrong_type(key, "a string", *value);
  out.assign(string->data(), string->size());
  return true;
}

void ObjectReader::boolean(std::string_view key, bool& out) const {
  const json::value* value = find(key);
  if (value == nullptr) return;
  if (value->is_bool())
    out = value->get_bool();
  else
    wrong_type(key, "true or false", *value);
}

void ObjectReader::integer(std::string_view key, std::int32_t least, std::int32_t most, std::int32_t& out) const {
  const json::value* value = find(key);
  if (value == nullptr) return;
  if (!value->is_number()) {
    wrong_type(key, "a number", *value);
    return;
  }
  json::error_code error;
  const auto number = value->to_number<std::int64_t>(error);  // exact: 1.5 is an error, 2.0 is 2
  if (error || number < least || number > most)
    findings_.invalid(pointer(key), fmt::format("must be a whole number from {} to {}", least, most));
  else
    out = static_cast<std::int32_t>(number);
}

bool ObjectReader::duration(std::string_view key, Duration least, Duration most, Duration& out) const {
  const json::value* value = find(key);
  if (value == nullptr) return false;
  if (!value->is_string()) return wrong_type(key, "a duration such as \"30s\"", *value);
  const auto parsed = parse_duration(value->get_string());
  if (!parsed) {
    findings_.invalid(pointer(key), parsed.error());
    return false;
  }
  if (*parsed < least || *parsed > most) {
    findings_.invalid(pointer(key), fmt::format("must be from {} to {}", to_string(least), to_string(most)));
    return false;
  }
  out = *parsed;
  return true;
}

void ObjectReader::size(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t& out) const {
  const json::value* value = find(key);
  if (value == nullptr) return;
  if (!value->is_string()) {
    wrong_type(key, "a size such as \"64MiB\"", *value);
    return;
  }
  const auto parsed = parse_size(value->get_string());
  if (!parsed)
    findings_.invalid(pointer(key), parsed.error());
  else if (*parsed < least || *parsed > most)
    findings_.invalid(pointer(key), fmt::format("must be from {} to {}", size_to_string(least), size_to_string(most)));
  else
    out = *parsed;
}

void ObjectReader::topic(std::string_view key, std::optional<std::string>& out) const {
  std::string name;
  if (!text(key, name)) return;
  if (const auto valid = parse_topic_name(name); !valid)
    findings_.invalid(pointer(key), valid.error());
  else
    out = std::move(name);
}

void ObjectReader::require_known(std::string_view key, std::string_view word,
                                 const std::vector<std::string_view>& known) const {
  if (std::find(known.begin(), known.end(), word) != known.end()) return;
  findings_.invalid(pointer(key), fmt::format("has an unknown value; {}", did_you_mean(word, known)));
}

}  // namespace dhub::pipeline
