// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <simdjson.h>
#include <unordered_set>

#include "base/utf8.h"

namespace dhub::api {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool take_digits(std::string_view& text) {
  const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(end);
  return end > 0;
}

// The grammar of RFC 8259, whatever the size: simdjson would refuse what a machine word cannot hold.
bool is_number(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  if (!text.empty() && text[0] == '0')
    text.remove_prefix(1);
  else if (!take_digits(text))
    return false;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    if (!take_digits(text)) return false;
  }
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    if (!take_digits(text)) return false;
  }
  return text.empty();
}

// Visits every value, because On-Demand parsing checks only what is looked at. The text is wrapped in a list, so that
// top level scalars need no code of their own: the wrapper is level 0, the text's value level 1, its members level 2.
class Walker {
 public:
  explicit Walker(const JsonRules& rules) : rules_(rules) {}

  // `out` is null where nothing is kept; `inside` says whether a container's content is.
  bool walk(ondemand::value value, Json* out, bool inside, std::size_t level) {
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type == ondemand::json_type::object) return object(value, out, inside, level);
    if (type == ondemand::json_type::array) return list(value, out, inside, level);
    Json ignored;
    Json& scalar = out == nullptr ? ignored : *out;
    scalar.raw = trimmed(value.raw_json_token());
    if (type == ondemand::json_type::string) return string(value, scalar);
    if (type == ondemand::json_type::number) return number(scalar);
    if (type == ondemand::json_type::null) return scalar.raw == "null";
    scalar.kind = Json::Kind::Boolean;
    return value.get_bool().get(scalar.boolean) == simdjson::SUCCESS;
  }

  // Set when the text is JSON but breaks a rule.
  std::string broken_rule;

 private:
  static constexpr std::size_t kMemberLevel = 2;

  bool breaks(std::string rule) {
    broken_rule = std::move(rule);
    return true;
  }
  bool too_deep(std::size_t level) {
    return level > rules_.most_levels && breaks(fmt::format("it is nested deeper than {} levels", rules_.most_levels));
  }
  bool too_many() {
    return ++kept_ > rules_.most_values && breaks(fmt::format("it holds more than {} values", rules_.most_values));
  }

  // The text of a container; reading it moves to its end, so it begins anew. Only near the top: each level would cost
  // another pass over what is below.
  template <typename Container>
  static bool take_raw(Container& container, Json* out, std::size_t level) {
    if (out == nullptr || level > kMemberLevel) return true;
    std::string_view raw;
    if (container.raw_json().get(raw) != simdjson::SUCCESS) return false;
    out->raw = trimmed(raw);
    return container.reset().error() == simdjson::SUCCESS;
  }

  bool object(ondemand::value& value, Json* out, bool inside, std::size_t level) {
    ondemand::object object;
    if (too_deep(level) || value.get_object().get(object) != simdjson::SUCCESS) return false;
    if (!take_raw(object, out, level)) return false;
    if (out != nullptr) out->kind = Json::Kind::Object;
    std::unordered_set<std::string> keys;
    for (auto entry : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(entry).get(field) != simdjson::SUCCESS) return false;
      if (field.unescaped_key().get(name) != simdjson::SUCCESS) return false;
      const bool twice = level <= rules_.unique_key_levels && !keys.emplace(name).second;
      if (twice && breaks(fmt::format("the key '{}' stands twice in one object", name))) return false;
      const bool keep = out != nullptr && inside;
      const bool opaque = level == 1 && name == rules_.opaque_member;
      if (keep && too_many()) return false;
      Json* child = keep ? &out->members.emplace_back(Json::Member{std::string(name), Json{}}).value : nullptr;
      if (!walk(field.value(), child, keep && !opaque, level + 1)) return false;
    }
    return true;
  }

  bool list(ondemand::value& value, Json* out, bool inside, std::size_t level) {
    ondemand::array list;
    if (too_deep(level) || value.get_array().get(list) != simdjson::SUCCESS) return false;
    if (!take_raw(list, out, level)) return false;
    if (out != nullptr) out->kind = Json::Kind::List;
    for (auto entry : list) {
      ondemand::value item;
      if (std::move(entry).get(item) != simdjson::SUCCESS) return false;
      const bool keep = out != nullptr && inside;
      if (keep && too_many()) return false;
      if (!walk(item, keep ? &out->items.emplace_back() : nullptr, keep, level + 1)) return false;
    }
    return true;
  }

  static bool string(ondemand::value& value, Json& out) {
    out.kind = Json::Kind::String;
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return false;
    out.text = text;
    return true;
  }

  static bool number(Json& out) {
    out.kind = Json::Kind::Number;
    out.text = out.raw;
    // Not get_double(): a number too large for one is none to simdjson. Iteration skips what was not taken.
    return is_number(out.raw);
  }

  const JsonRules& rules_;
  std::size_t kept_ = 0;
};

std::string place_of(std::string_view text, std::size_t at) {
  const auto before = text.substr(0, std::min(at, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto last = before.rfind('\n');
  const auto column = last == std::string_view::npos ? before.size() + 1 : before.size() - last;
  return fmt::format("line {}, column {}", line, column);
}

}  // namespace

const Json* Json::find(std::string_view name) const {
  for (const auto& [key, value] : members)
    if (key == name) return &value;
  return nullptr;
}

struct JsonReader::Buffers {
  ondemand::parser parser;
  std::string text;
};

JsonReader::JsonReader() : buffers_(std::make_unique<Buffers>()) {}
JsonReader::~JsonReader() = default;

Result<Json> JsonReader::parse(std::string_view text, const JsonRules& rules) {
  const auto malformed = [](std::string_view what) {
    return fail(ErrorCode::Malformed, fmt::format("This is not acceptable JSON: {}.", what));
  };
  if (trimmed(text).empty()) return malformed("there is nothing where a value is expected");
  std::string& buffer = buffers_->text;
  buffer.clear();
  buffer.reserve(text.size() + 2 + simdjson::SIMDJSON_PADDING);
  buffer += '[';
  buffer += text;
  buffer += ']';
  ondemand::document document;
  ondemand::array wrapper;
  const simdjson::padded_string_view padded(buffer.data(), buffer.size(), buffer.capacity());
  auto error = buffers_->parser.iterate(padded).get(document);
  if (error != simdjson::SUCCESS) return malformed(simdjson::error_message(error));
  if (document.get_array().get(wrapper) != simdjson::SUCCESS) return malformed("it does not begin with a value");
  Json out;
  Walker walker(rules);
  std::size_t values = 0;
  bool good = true;
  for (auto entry : wrapper) {
    ondemand::value value;
    good = ++values == 1 && std::move(entry).get(value) == simdjson::SUCCESS &&
           walker.walk(value, rules.keep ? &out : nullptr, true, 1);
    if (!good) break;
  }
  const char* at = nullptr;
  const auto location = document.current_location().get(at);
  // Out of bounds means that nothing is left behind the value.
  if (good && values == 1 && location == simdjson::OUT_OF_BOUNDS) return out;
  if (!walker.broken_rule.empty()) return malformed(walker.broken_rule);
  if (location != simdjson::SUCCESS) return malformed("it ends too early");
  const auto distance = static_cast<std::size_t>(std::max<std::ptrdiff_t>(at - buffer.data() - 1, 0));
  return malformed("unexpected content near " + place_of(text, distance));
}

void JsonWriter::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  string(name);
  out_ += ':';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
  separate();
  fmt::format_to(std::back_inserter(out_), "{}", value);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  return raw(value ? "true" : "false");
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view value) {
  separate();
  out_ += '"';
  const auto is_plain = [](char c) { return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f; };
  while (!value.empty()) {
    const auto plain = static_cast<std::size_t>(std::find_if_not(value.begin(), value.end(), is_plain) - value.begin());
    out_ += value.substr(0, plain);
    value.remove_prefix(plain);
    if (value.empty()) break;
    const CodePoint next = take_code_point(value);
    if (!next.valid)
      out_ += "\xef\xbf\xbd";
    else if (next.value == '"' || next.value == '\\')
      (out_ += '\\') += next.bytes;
    else if (next.value == '\n')
      out_ += "\\n";
    else if (next.value < 0x20 || next.value == 0x7f)
      fmt::format_to(std::back_inserter(out_), "\\u{:04x}", static_cast<unsigned>(next.value));
    else
      out_ += next.bytes;
  }
  out_ += '"';
  return *this;
}

}  // namespace dhub::api
