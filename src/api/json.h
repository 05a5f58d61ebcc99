// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace dhub::api {

// One JSON value as a client sent it. `raw` is its text, byte for byte and without blanks around it; of values within
// lists and objects it is kept one level down only (`{"a": HERE, "b": [not here]}`), and it is valid until the reader
// parses again.
struct Json {
  enum class Kind { Null, Boolean, Number, String, List, Object };
  Kind kind = Kind::Null;
  bool boolean = false;
  std::string text;  // of a string: decoded; of a number: as it was written
  std::string_view raw;
  std::vector<Json> items;
  struct Member;  // a pair of name and value; std::pair needs the whole type
  std::vector<Member> members;

  [[nodiscard]] const Json* find(std::string_view name) const;
  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
};

struct Json::Member {
  std::string name;
  Json value;
};

// How strict a text is read, and what is kept of it.
struct JsonRules {
  std::size_t most_levels = 64;
  std::size_t unique_key_levels = 64;   // down to this level no key may stand twice in one object
  std::size_t most_values = 100'000;    // that are kept
  std::string_view opaque_member = {};  // member of the top level whose content is checked and not kept
  bool keep = true;                     // false: only check
};

// Reads JSON strictly: RFC 8259, UTF-8, no byte order mark, nothing after the value. Numbers may have any size; they
// are only text here. Keeps its buffers, so that reading many small texts costs no allocation each; one thread.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Malformed, with the place of the error, when `text` is not such JSON.
  [[nodiscard]] Result<Json> parse(std::string_view text, const JsonRules& rules);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

// Writes JSON into a string; commas come by themselves. Bytes that are not UTF-8 become U+FFFD, so that the result is
// valid whatever it is given.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_list() { return open('['); }
  JsonWriter& end_list() { return close(']'); }
  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view value);
  JsonWriter& number(std::int64_t value);
  JsonWriter& boolean(bool value);
  JsonWriter& null() { return raw("null"); }
  // `json` must be JSON.
  JsonWriter& raw(std::string_view json);

  JsonWriter& field(std::string_view name, std::string_view value) { return key(name).string(value); }
  JsonWriter& field(std::string_view name, const char* value) { return key(name).string(value); }
  JsonWriter& field(std::string_view name, const std::string& value) { return key(name).string(value); }
  JsonWriter& field(std::string_view name, bool value) { return key(name).boolean(value); }
  JsonWriter& field(std::string_view name, std::int64_t value) { return key(name).number(value); }
  JsonWriter& field(std::string_view name, std::int32_t value) { return key(name).number(value); }

  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();

  std::string out_;
  bool first_ = true;  // nothing precedes in this object or list, or a key does
};

}  // namespace dhub::api
