// SPDX-License-Identifier: Apache-2.0
#include "api/message_codec.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <unordered_set>

#include "api/base64.h"
#include "api/body_reader.h"
#include "base/utf8.h"

namespace dhub::api {
namespace {

constexpr std::array<std::string_view, 6> kFields{"key",        "key_base64",   "value",
                                                  "value_text", "value_base64", "headers"};
constexpr std::array<std::string_view, 3> kHeaderFields{"name", "value", "value_base64"};
constexpr std::size_t kLongestHeaderName = 1024;
constexpr std::size_t kMostHeaders = 1000;
constexpr std::size_t kDeepestValue = 500;
// What is in a value is the publisher's business: keys may repeat there. The depth only keeps the stack safe.
constexpr JsonRules kLineRules{
    .most_levels = kDeepestValue + 1, .unique_key_levels = 1, .most_values = 10'000, .opaque_member = "value"};
constexpr JsonRules kValueRules{.most_levels = kDeepestValue, .unique_key_levels = 0, .keep = false};

std::optional<std::string> decoded(ObjectReader& object, std::string_view name) {
  const auto text = object.text(name);
  if (!text) return std::nullopt;
  auto bytes = base64_decode(*text);
  if (!bytes) object.wrong(name, "must be base64 with its padding");
  return bytes;
}

// A text or null.
std::optional<std::string> nullable_text(const Json& json, ObjectReader& object, std::string_view name) {
  const Json* member = json.find(name);
  if (member == nullptr || member->is(Json::Kind::Null)) return std::nullopt;
  return object.text(name);
}

void read_key(const Json& json, ObjectReader& object, Message& message) {
  if (object.has("key") && object.has("key_base64")) return object.wrong("key_base64", "stands beside key; give one");
  message.key = object.has("key_base64") ? decoded(object, "key_base64") : nullable_text(json, object, "key");
}

void read_value(const Json& json, ObjectReader& object, Message& message) {
  const int given = static_cast<int>(object.has("value")) + static_cast<int>(object.has("value_text")) +
                    static_cast<int>(object.has("value_base64"));
  if (given != 1)
    return object.wrong("value",
                        "must be there exactly once, as value, value_text or value_base64 (null: a tombstone)");
  if (const Json* value = json.find("value")) {
    if (!value->is(Json::Kind::Null)) message.value = std::string(value->raw);
  } else if (object.has("value_text")) {
    message.value = nullable_text(json, object, "value_text");
  } else {
    message.value = decoded(object, "value_base64");
  }
}

void add_header(std::string name, std::optional<std::string> value, ObjectReader& owner, Message& message) {
  if (name.empty() || name.size() > kLongestHeaderName)
    return owner.wrong(name.substr(0, 64), fmt::format("a header's name has 1 to {} bytes", kLongestHeaderName));
  message.headers.push_back({std::move(name), std::move(value)});
}

void read_header_object(const Json& json, std::vector<FieldError>& errors, Message& message) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : json.members) names.push_back(name);
  ObjectReader object(json, "/headers", names, errors);
  std::unordered_set<std::string_view> seen;
  for (const auto& [name, value] : json.members) {
    if (!seen.insert(name).second)
      object.wrong(name, "stands there twice; write headers that repeat as a list of {\"name\", \"value\"}");
    else
      add_header(name, nullable_text(json, object, name), object, message);
  }
}

void read_header_list(const Json& json, std::vector<FieldError>& errors, Message& message) {
  for (std::size_t i = 0; i < json.items.size(); ++i) {
    const Json& item = json.items[i];
    const std::string pointer = fmt::format("/headers/{}", i);
    if (!item.is(Json::Kind::Object)) {
      errors.push_back({pointer, "must be an object with name and value"});
      continue;
    }
    ObjectReader object(item, pointer, kHeaderFields, errors);
    auto name = object.text("name");
    if (!name) {
      if (!object.has("name")) object.wrong("name", "is missing");
      continue;
    }
    auto value = object.has("value_base64") ? decoded(object, "value_base64") : nullable_text(item, object, "value");
    add_header(std::move(*name), std::move(value), object, message);
  }
}

void read_headers(const Json& json, std::vector<FieldError>& errors, Message& message) {
  const Json* headers = json.find("headers");
  if (headers == nullptr || headers->is(Json::Kind::Null)) return;
  if (headers->is(Json::Kind::Object))
    read_header_object(*headers, errors, message);
  else if (headers->is(Json::Kind::List))
    read_header_list(*headers, errors, message);
  else
    errors.push_back({"/headers", "must be an object or a list"});
  if (message.headers.size() > kMostHeaders)
    errors.push_back({"/headers", fmt::format("must not be more than {}", kMostHeaders)});
}

Error at_line(Error error, std::size_t line) {
  error.message = fmt::format("Line {}: {}", line, error.message);
  for (auto& field : error.fields) field.detail = fmt::format("line {}: {}", line, field.detail);
  return error;
}

bool is_plain_json(std::string_view text, JsonReader& reader) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  // Blanks around it would be lost by whoever reads and publishes it again; null would become a tombstone.
  if (text.empty() || is_blank(text.front()) || is_blank(text.back()) || text == "null") return false;
  return reader.parse(text, kValueRules).has_value();
}

void write_value(const std::optional<std::string>& value, JsonReader& reader, JsonWriter& out) {
  if (!value)
    out.key("value").null();
  else if (is_plain_json(*value, reader))
    out.key("value").raw(*value);
  else if (is_utf8(*value))
    out.field("value_text", *value);
  else
    out.field("value_base64", base64_encode(*value));
}

void write_text_or_null(const std::optional<std::string>& text, JsonWriter& out) {
  if (text)
    out.string(*text);
  else
    out.null();
}

void write_headers(const std::vector<Header>& headers, JsonWriter& out) {
  std::unordered_set<std::string_view> names;
  bool plain = true;
  for (const auto& header : headers)
    plain =
        plain && names.insert(header.name).second && is_utf8(header.name) && (!header.value || is_utf8(*header.value));
  out.key("headers");
  if (plain) {
    out.begin_object();
    for (const auto& header : headers) write_text_or_null(header.value, out.key(header.name));
    out.end_object();
    return;
  }
  out.begin_list();
  for (const auto& header : headers) {
    out.begin_object().field("name", header.name);
    if (header.value && !is_utf8(*header.value))
      out.field("value_base64", base64_encode(*header.value));
    else
      write_text_or_null(header.value, out.key("value"));
    out.end_object();
  }
  out.end_list();
}

// The value of a CloudEvents attribute: a quoted string is taken out of its quotes, then %XX is undone, once.
std::optional<std::string> attribute_value(std::string_view value) {
  std::string unquoted;
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i] == '\\' && i + 1 < value.size()) ++i;
      unquoted += value[i];
    }
    value = unquoted;
  }
  auto decoded_value = percent_decode(value, false);
  if (decoded_value && !is_utf8(*decoded_value)) return std::nullopt;
  return decoded_value;
}

bool is_attribute_name(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

void require_attributes(const std::vector<Header>& headers, std::vector<FieldError>& errors) {
  for (const std::string_view name : {"specversion", "id", "source", "type"}) {
    const auto is_it = [&](const Header& header) { return header.name == fmt::format("ce_{}", name); };
    const auto found = std::find_if(headers.begin(), headers.end(), is_it);
    if (found == headers.end() || found->value->empty())
      errors.push_back({fmt::format("ce-{}", name), "is missing; every CloudEvent has it"});
    else if (name == "specversion" && found->value != "1.0")
      errors.push_back({"ce-specversion", "must be 1.0"});
  }
}

}  // namespace

Result<Message> parse_message(std::string_view line, JsonReader& reader) {
  ASSIGN_OR_RETURN(const Json json, reader.parse(line, kLineRules));
  if (!json.is(Json::Kind::Object)) return fail(invalid_body({{"", "must be an object with key, value and headers"}}));
  std::vector<FieldError> errors;
  ObjectReader object(json, "", kFields, errors);
  Message message;
  read_key(json, object, message);
  read_value(json, object, message);
  read_headers(json, errors, message);
  if (!errors.empty()) return fail(invalid_body(std::move(errors)));
  return message;
}

Result<std::vector<Message>> parse_messages(std::string_view text, const BatchLimits& limits) {
  JsonReader reader;
  std::vector<Message> messages;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (messages.size() == limits.most_messages)
      return fail(ErrorCode::TooLarge, fmt::format("More than {} messages at once (limit `batch`); send them in parts.",
                                                   limits.most_messages));
    auto message = parse_message(content, reader);
    if (!message) return fail(at_line(message.error(), line));
    if (message_bytes(*message) > limits.message_bytes)
      return fail(ErrorCode::TooLarge, fmt::format("Line {}: a message may have {} in all (limit `message`).", line,
                                                   size_to_string(limits.message_bytes)));
    messages.push_back(std::move(*message));
  }
  if (messages.empty()) return fail(invalid_body({{"", "must hold at least one message, one a line"}}));
  return messages;
}

std::size_t message_bytes(const Message& message) {
  std::size_t bytes = (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
  for (const auto& header : message.headers) bytes += header.name.size() + (header.value ? header.value->size() : 0);
  return bytes;
}

void write_message(const Message& message, JsonReader& reader, JsonWriter& out) {
  if (message.key && !is_utf8(*message.key))
    out.field("key_base64", base64_encode(*message.key));
  else
    write_text_or_null(message.key, out.key("key"));
  write_value(message.value, reader, out);
  write_headers(message.headers, out);
}

Result<std::vector<Header>> cloud_event_headers(const Request& request) {
  std::vector<Header> headers;
  std::vector<FieldError> errors;
  for (const auto& [name, value] : request.headers) {
    if (name.substr(0, 3) != "ce-") continue;
    const std::string attribute = name.substr(3);
    auto text = attribute_value(value);
    const auto is_same = [&](const Header& header) { return header.name == "ce_" + attribute; };
    if (!is_attribute_name(attribute))
      errors.push_back({name, "is not a CloudEvents attribute; names have letters a-z and digits"});
    else if (!text)
      errors.push_back({name, "is not percent-encoded UTF-8"});
    else if (std::any_of(headers.begin(), headers.end(), is_same))
      errors.push_back({name, "stands there twice"});
    else
      headers.push_back({"ce_" + attribute, std::move(*text)});
  }
  if (headers.empty() && errors.empty()) return headers;
  if (errors.empty()) require_attributes(headers, errors);
  if (!errors.empty()) {
    std::string message =
        fmt::format("The CloudEvent is not acceptable: header {} {}.", errors[0].pointer, errors[0].detail);
    return fail({ErrorCode::InvalidArgument, std::move(message), std::move(errors)});
  }
  ASSIGN_OR_RETURN(auto content_type, request.header("content-type"));
  if (content_type) headers.push_back({"content-type", std::move(content_type)});
  return headers;
}

}  // namespace dhub::api
