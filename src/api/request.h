// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace dhub::api {

enum class Method { Get, Head, Post, Put, Delete, Other };
[[nodiscard]] const char* to_string(Method method);

// What a token lets its bearer do; each includes those before. Metrics is Public or Viewer, by the server's switch.
enum class Role { Public, Metrics, Viewer, Operator, Admin };

struct Route;
using NameValue = std::pair<std::string, std::string>;

// One request, as plain values: framing is checked and taken off, path and query are decoded. Handlers see HEAD as GET.
struct Request {
  Method method = Method::Other;
  std::string path;                   // as sent, without the query; printable ASCII
  std::vector<std::string> segments;  // of the path, decoded; may hold any bytes
  std::vector<NameValue> query;       // in order, decoded; may hold any bytes
  std::vector<NameValue> headers;     // in order; names in lower case
  std::string body;
  std::string trace_id;
  const Route* route = nullptr;  // set by the router

  // The decoded segment that `{name}` of the route stands for. The route must have it.
  [[nodiscard]] const std::string& parameter(std::string_view name) const;
  // The only header of that name (lower case); none when it is absent. Malformed when it stands there twice.
  [[nodiscard]] Result<std::optional<std::string>> header(std::string_view name) const;
};

// Takes the target of a request line apart into path, segments and query. Malformed when it is not a path or not
// decodable. A slash at the end of the path counts for nothing.
[[nodiscard]] Status parse_target(std::string_view target, Request& request);

// A path as problems and logs may show it: what is not printable ASCII is encoded.
[[nodiscard]] std::string printable_path(std::string_view path);

// Undoes %XX (and, in queries, '+'); nothing when a % is not followed by two hex digits.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace dhub::api
