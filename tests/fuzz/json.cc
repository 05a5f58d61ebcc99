// SPDX-License-Identifier: Apache-2.0
// Both readers of JSON: what one writes it reads again, and the canonical form is canonical.
#include "api/json.h"

#include "base/check.h"
#include "fuzz/input.h"
#include "pipeline/json.h"

namespace dhub::fuzz {
namespace {

using api::Json;
using api::JsonReader;
using api::JsonWriter;

void write(const Json& json, JsonWriter& out) {
  switch (json.kind) {
    case Json::Kind::Null:
      out.null();
      break;
    case Json::Kind::Boolean:
      out.boolean(json.boolean);
      break;
    case Json::Kind::Number:
      out.raw(json.text);
      break;
    case Json::Kind::String:
      out.string(json.text);
      break;
    case Json::Kind::List:
      out.begin_list();
      for (const auto& item : json.items) write(item, out);
      out.end_list();
      break;
    case Json::Kind::Object:
      out.begin_object();
      for (const auto& [name, value] : json.members) write(value, out.key(name));
      out.end_object();
      break;
  }
}

std::string written(const Json& json) {
  JsonWriter out;
  write(json, out);
  return out.take();
}

void read_again(JsonReader& reader, const std::string& text) {
  const auto again = reader.parse(text, {});
  CHECK(again.has_value());
  CHECK(written(*again) == text);
}

void check_canonical(JsonReader& reader, std::string_view text) {
  const auto canonical = pipeline::canonical_json(text);
  if (!canonical) return;
  const auto again = pipeline::canonical_json(*canonical);
  CHECK(again.has_value() && *again == *canonical);
  CHECK(reader.parse(*canonical, {}).has_value());
}

}  // namespace
}  // namespace dhub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = dhub::fuzz::text_of(data, size);
  dhub::api::JsonReader reader;
  dhub::api::JsonRules only_check;
  only_check.keep = false;
  const bool accepted = reader.parse(text, only_check).has_value();
  const auto json = reader.parse(text, {});
  CHECK(!json || accepted);
  if (json) {
    CHECK(json->raw.size() <= text.size());
    dhub::fuzz::read_again(reader, dhub::fuzz::written(*json));
  }
  dhub::fuzz::check_canonical(reader, text);
  return 0;
}
