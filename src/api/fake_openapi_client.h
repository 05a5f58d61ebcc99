// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "api/openapi.h"

// The description as tools of clients use it: references are followed, values are held against schemas.
namespace dhub::api {

using Value = boost::json::value;

inline Value parsed(const std::string& json) {
  boost::json::error_code error;
  Value value = boost::json::parse(json, error);
  EXPECT_FALSE(error) << json.substr(0, 200);
  return value;
}

// With the version 1.2.3, as FakeWorld has it.
inline const Value& document() {
  static const Value made = parsed(openapi_document(route_table(), "1.2.3"));
  return made;
}

inline std::string text(const Value& value) {
  return std::string(value.as_string());
}

// What "#/a/b" stands for; none when it stands for nothing.
inline const Value* resolved(const std::string& pointer) {
  if (!pointer.starts_with("#/")) return nullptr;
  boost::json::error_code error;
  return document().find_pointer(pointer.substr(1), error);
}

inline const Value& followed(const Value& value) {
  const auto* object = value.if_object();
  const auto* reference = object == nullptr ? nullptr : object->if_contains("$ref");
  return reference == nullptr ? value : document().at_pointer(text(*reference).substr(1));
}

// Holds a value against a schema, with the keywords that the description uses. Strict: a member that no schema
// describes is wrong, also where clients would pass over it.
class SchemaChecker {
 public:
  std::vector<std::string> wrong;

  void check(const Value& value, const Value& schema, const std::string& where) {
    Names seen;
    apply(value, schema, where, seen);
    if (!value.is_object()) return;
    for (const auto& [name, member] : value.as_object())
      if (seen.count(name) == 0) report(where, fmt::format("'{}' is not described", std::string_view(name)));
  }

 private:
  using Names = std::set<std::string>;

  void report(const std::string& where, const std::string& what) { wrong.push_back(where + ": " + what); }

  void apply(const Value& value, const Value& schema, const std::string& where, Names& seen) {
    const auto& object = schema.as_object();
    if (object.contains("$ref")) apply(value, followed(schema), where, seen);
    if (const auto* type = object.if_contains("type"); type != nullptr && !is_of(value, *type))
      report(where, "is not of type " + boost::json::serialize(*type));
    if (const auto* only = object.if_contains("const"); only != nullptr && *only != value)
      report(where, "is not " + boost::json::serialize(*only));
    if (const auto* words = object.if_contains("enum"))
      if (std::find(words->as_array().begin(), words->as_array().end(), value) == words->as_array().end())
        report(where, "is none of " + boost::json::serialize(*words));
    bounds(value, object, where);
    members(value, object, where, seen);
    combined(value, object, where, seen);
  }

  static bool is_of(const Value& value, const Value& type) {
    if (const auto* several = type.if_array())
      return std::any_of(several->begin(), several->end(), [&](const Value& one) { return is_of(value, one); });
    const std::string name = text(type);
    if (name == "object") return value.is_object();
    if (name == "array") return value.is_array();
    if (name == "string") return value.is_string();
    if (name == "boolean") return value.is_bool();
    if (name == "null") return value.is_null();
    return name == "integer" ? value.is_int64() || value.is_uint64() : value.is_number();
  }

  void bounds(const Value& value, const boost::json::object& schema, const std::string& where) {
    if (const auto* pattern = schema.if_contains("pattern"); pattern != nullptr && value.is_string())
      if (!std::regex_search(text(value), std::regex(text(*pattern))))
        report(where, "does not match " + text(*pattern));
    if (!value.is_int64()) return;
    const auto* least = schema.if_contains("minimum");
    const auto* most = schema.if_contains("maximum");
    if (least != nullptr && value.as_int64() < least->as_int64()) report(where, "is too small");
    if (most != nullptr && value.as_int64() > most->as_int64()) report(where, "is too large");
  }

  void members(const Value& value, const boost::json::object& schema, const std::string& where, Names& seen) {
    if (const auto* items = schema.if_contains("items"); items != nullptr && value.is_array())
      for (std::size_t i = 0; i < value.as_array().size(); ++i)
        check(value.as_array()[i], *items, fmt::format("{}/{}", where, i));
    if (!value.is_object()) return;
    if (const auto* required = schema.if_contains("required"))
      for (const auto& name : required->as_array())
        if (!value.as_object().contains(name.as_string())) report(where, "lacks " + text(name));
    const auto* properties = schema.if_contains("properties");
    const auto* others = schema.if_contains("additionalProperties");
    const bool open = !schema.contains("$ref") && !schema.contains("allOf") && !schema.contains("oneOf") &&
                      !schema.contains("required") && properties == nullptr && others == nullptr;
    for (const auto& [name, member] : value.as_object()) {
      const auto* known = properties == nullptr ? nullptr : properties->as_object().if_contains(name);
      const auto* fits = known == nullptr && others != nullptr && others->is_object() ? others : known;
      if (fits != nullptr || open) seen.insert(name);
      if (fits != nullptr) check(member, *fits, fmt::format("{}/{}", where, std::string_view(name)));
    }
  }

  void combined(const Value& value, const boost::json::object& schema, const std::string& where, Names& seen) {
    if (const auto* all = schema.if_contains("allOf"))
      for (const auto& one : all->as_array()) apply(value, one, where, seen);
    const auto* choices = schema.if_contains("oneOf");
    if (choices == nullptr) return;
    int fitting = 0;
    for (const auto& one : choices->as_array()) {
      SchemaChecker checker;
      Names these;
      checker.apply(value, one, where, these);
      if (!checker.wrong.empty()) continue;
      ++fitting;
      seen.merge(these);
    }
    if (fitting != 1) report(where, fmt::format("fits {} of the choices", fitting));
  }
};

}  // namespace dhub::api
