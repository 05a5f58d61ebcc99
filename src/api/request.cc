// SPDX-License-Identifier: Apache-2.0
#include "api/request.h"

#include <fmt/format.h>
#include <iterator>

#include "api/route_table.h"
#include "base/check.h"

namespace dhub::api {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <typename Take>
bool for_each_part(std::string_view text, char separator, const Take& take) {
  while (true) {
    const auto end = text.find(separator);
    if (!take(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

bool parse_path(std::string_view path, std::vector<std::string>& segments) {
  path.remove_prefix(1);
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (path.empty()) return true;
  return for_each_part(path, '/', [&](std::string_view part) {
    auto segment = percent_decode(part, false);
    if (segment) segments.push_back(std::move(*segment));
    return segment.has_value();
  });
}

bool parse_query(std::string_view query, std::vector<NameValue>& out) {
  return for_each_part(query, '&', [&](std::string_view part) {
    if (part.empty()) return true;
    const auto equals = part.find('=');
    auto name = percent_decode(part.substr(0, equals), true);
    auto value = percent_decode(equals == std::string_view::npos ? "" : part.substr(equals + 1), true);
    if (!name || !value) return false;
    out.emplace_back(std::move(*name), std::move(*value));
    return true;
  });
}

}  // namespace

const char* to_string(Method method) {
  switch (method) {
    case Method::Get:
      return "GET";
    case Method::Head:
      return "HEAD";
    case Method::Post:
      return "POST";
    case Method::Put:
      return "PUT";
    case Method::Delete:
      return "DELETE";
    case Method::Other:
      return "other";
  }
  return "other";
}

std::string printable_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c > 0x20 && c < 0x7f)
      out += c;
    else
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
      continue;
    }
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Status parse_target(std::string_view target, Request& request) {
  const auto question = target.find('?');
  const auto path = target.substr(0, question);
  if (path.empty() || path[0] != '/')
    return fail(ErrorCode::Malformed, "The target of the request is not a path; write it as /api/v1/...");
  request.path = printable_path(path);
  const bool good = parse_path(path, request.segments) &&
                    (question == std::string_view::npos || parse_query(target.substr(question + 1), request.query));
  if (!good)
    return fail(ErrorCode::Malformed,
                "The target of the request cannot be decoded: a '%' must be followed by two hexadecimal digits.");
  return {};
}

const std::string& Request::parameter(std::string_view name) const {
  CHECK(route != nullptr);
  std::size_t at = 0;
  std::string_view rest = route->path.substr(1);
  while (true) {
    const auto part = rest.substr(0, rest.find('/'));
    if (part.size() > 2 && part.front() == '{' && part.substr(1, part.size() - 2) == name) return segments[at];
    ++at;
    CHECK(rest.size() > part.size());
    rest.remove_prefix(part.size() + 1);
  }
}

Result<std::optional<std::string>> Request::header(std::string_view name) const {
  std::optional<std::string> found;
  for (const auto& [key, value] : headers) {
    if (key != name) continue;
    if (found) return fail(ErrorCode::Malformed, fmt::format("The header {} stands there twice; send it once.", name));
    found = value;
  }
  return found;
}

}  // namespace dhub::api
