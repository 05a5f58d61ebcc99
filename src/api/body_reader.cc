// SPDX-License-Identifier: Apache-2.0
#include "api/body_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "base/suggest.h"

namespace dhub::api {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// A JSON pointer escapes '~' and '/'.
std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

const char* name_of(Json::Kind kind) {
  static constexpr std::array<const char*, 6> kNames{"null",     "true or false", "a number",
                                                     "a string", "a list",        "an object"};
  return kNames[static_cast<std::size_t>(kind)];
}

// True when a charset is named and it is not UTF-8 (or ASCII, which is part of it).
bool names_other_charset(std::string_view content_type) {
  const std::string text = lower(content_type);
  const auto at = text.find("charset=");
  if (at == std::string::npos) return false;
  std::string_view charset = std::string_view(text).substr(at + 8);
  charset = trimmed(charset.substr(0, charset.find(';')));
  return charset != "utf-8" && charset != "\"utf-8\"" && charset != "us-ascii";
}

Response unsupported_media_type(std::string detail) {
  return problem_response(make_problem(415, "unsupported_media_type", std::move(detail)));
}

}  // namespace

Result<std::string> media_type(const Request& request) {
  ASSIGN_OR_RETURN(const auto header, request.header("content-type"));
  if (!header) return std::string();
  return lower(trimmed(std::string_view(*header).substr(0, header->find(';'))));
}

std::optional<Response> check_media_type(const Request& request, std::string_view allowed) {
  const auto encoding = request.header("content-encoding");
  if (!encoding) return error_response(encoding.error());
  if (*encoding && lower(**encoding) != "identity")
    return unsupported_media_type("Compressed bodies are not taken; send it without Content-Encoding.");
  const auto type = media_type(request);
  if (!type) return error_response(type.error());
  if (!type->empty() && *type != allowed)
    return unsupported_media_type(fmt::format("The body must be {0}; send the header 'Content-Type: {0}'.", allowed));
  const auto header = request.header("content-type");
  if (header && *header && names_other_charset(**header)) return unsupported_media_type("The body must be in UTF-8.");
  return std::nullopt;
}

tl::expected<Json, Response> read_object(const Request& request, JsonReader& reader) {
  if (auto refusal = check_media_type(request, "application/json")) return tl::unexpected(std::move(*refusal));
  auto json = reader.parse(request.body, JsonRules{});
  if (!json) return tl::unexpected(error_response(json.error()));
  if (json->is(Json::Kind::Object)) return std::move(*json);
  return tl::unexpected(error_response(invalid_body({{"", "must be a JSON object"}})));
}

std::optional<Response> check_no_body(const Request& request) {
  if (request.body.empty()) return std::nullopt;
  JsonReader reader;
  const auto json = read_object(request, reader);
  if (!json) return json.error();
  if (json->members.empty()) return std::nullopt;
  return error_response(
      invalid_body({{"/" + escaped(json->members[0].name), "this call takes no body; use parameters of the URL"}}));
}

ObjectReader::ObjectReader(const Json& object, std::string pointer, std::span<const std::string_view> known,
                           std::vector<FieldError>& errors)
    : object_(object), pointer_(std::move(pointer)), errors_(errors) {
  for (const auto& [name, value] : object_.members)
    if (std::find(known.begin(), known.end(), name) == known.end())
      wrong(name, "is not a field; " + did_you_mean(name, known));
}

void ObjectReader::wrong(std::string_view name, std::string detail) {
  errors_.push_back({fmt::format("{}/{}", pointer_, escaped(name)), std::move(detail)});
}

const Json* ObjectReader::get(std::string_view name, Json::Kind kind) {
  const Json* member = object_.find(name);
  if (member == nullptr || member->is(kind)) return member;
  wrong(name, fmt::format("must be {}", name_of(kind)));
  return nullptr;
}

std::optional<std::string> ObjectReader::text(std::string_view name) {
  const Json* member = get(name, Json::Kind::String);
  if (member == nullptr) return std::nullopt;
  return member->text;
}

std::optional<std::int64_t> ObjectReader::integer(std::string_view name) {
  const Json* member = get(name, Json::Kind::Number);
  if (member == nullptr) return std::nullopt;
  std::int64_t number = 0;
  const char* end = member->text.data() + member->text.size();
  const auto parsed = std::from_chars(member->text.data(), end, number);
  if (parsed.ec == std::errc{} && parsed.ptr == end) return number;
  wrong(name, "must be a whole number");
  return std::nullopt;
}

void ObjectReader::unchanged(std::string_view name, const std::optional<std::string>& current) {
  const Json* member = object_.find(name);
  if (member == nullptr) return;
  const bool same = current ? member->is(Json::Kind::String) && member->text == *current : member->is(Json::Kind::Null);
  if (same) return;
  wrong(name, current ? fmt::format("is '{}' now and cannot be set; leave it out, or get the object again", *current)
                      : "is not set now and cannot be; leave it out, or get the object again");
}

Error invalid_body(std::vector<FieldError> errors) {
  std::string message = "The body is not acceptable.";
  if (!errors.empty())
    message = fmt::format("The body is not acceptable: {} {}.", errors[0].pointer.empty() ? "it" : errors[0].pointer,
                          errors[0].detail);
  return {ErrorCode::InvalidArgument, std::move(message), std::move(errors)};
}

}  // namespace dhub::api
