// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "pipeline/findings.h"

namespace dhub::pipeline {

// Takes typed values out of one JSON object and notes what is wrong with its pointer. A key that is absent leaves the
// output, and with it the default, alone; so does one that is wrong. Lives no longer than the object and the findings.
class ObjectReader {
 public:
  ObjectReader(const boost::json::object& object, std::string pointer, Findings& findings)
      : object_(object), pointer_(std::move(pointer)), findings_(findings) {}
  // Of a value that should be an object; notes it and answers none when it is something else.
  static std::optional<ObjectReader> of(const boost::json::value& value, std::string pointer, Findings& findings);

  // Notes every other key. `noun` is what a key is here: "option", "key".
  void only(std::string_view noun, std::initializer_list<std::string_view> known) const;
  [[nodiscard]] const boost::json::value* find(std::string_view key) const { return object_.if_contains(key); }
  [[nodiscard]] std::string pointer(std::string_view key) const { return pointer_to(pointer_, key); }

  // The reader of an object within this one, when it is there and is an object.
  [[nodiscard]] std::optional<ObjectReader> object(std::string_view key) const;
  // True when there was a string.
  bool text(std::string_view key, std::string& out) const;
  void boolean(std::string_view key, bool& out) const;
  void integer(std::string_view key, std::int32_t least, std::int32_t most, std::int32_t& out) const;
  // True when there was a good one.
  bool duration(std::string_view key, Duration least, Duration most, Duration& out) const;
  void size(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t& out) const;
  // A name of a topic that is served.
  void topic(std::string_view key, std::optional<std::string>& out) const;

  template <typename T>
  void choice(std::string_view key, std::initializer_list<std::pair<std::string_view, T>> choices, T& out) const {
    std::string word;
    if (!text(key, word)) return;
    std::vector<std::string_view> known;
    for (const auto& [name, value] : choices) {
      known.push_back(name);
      if (name == word) out = value;
    }
    require_known(key, word, known);
  }

 private:
  void require_known(std::string_view key, std::string_view word, const std::vector<std::string_view>& known) const;
  bool wrong_type(std::string_view key, std::string_view wanted, const boost::json::value& value) const;

  const boost::json::object& object_;
  std::string pointer_;
  Findings& findings_;
};

// "a number", "an object", ...: for "must be a string, not a number".
[[nodiscard]] std::string_view kind_of(const boost::json::value& value);

}  // namespace dhub::pipeline
