// SPDX-License-Identifier: Apache-2.0
#include "api/router.h"

#include <algorithm>
#include <fmt/format.h>

namespace dhub::api {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const auto end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{';
}

// How many literal segments match; -1 when the path is another.
int likeness(std::span<const std::string_view> pattern, std::span<const std::string> segments) {
  if (pattern.size() != segments.size()) return -1;
  int literals = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i])) {
      if (segments[i].empty()) return -1;
    } else if (pattern[i] == segments[i]) {
      ++literals;
    } else {
      return -1;
    }
  }
  return literals;
}

}  // namespace

Router::Router(std::span<const Route> routes) {
  for (const auto& route : routes) patterns_.push_back({&route, split(route.path)});
}

Match Router::find_exactly(Method method, std::span<const std::string> segments) const {
  const Method wanted = method == Method::Head ? Method::Get : method;
  std::string_view path;
  int best = -1;
  for (const auto& pattern : patterns_) {
    const int like = likeness(pattern.segments, segments);
    if (like > best) {
      best = like;
      path = pattern.route->path;
    }
  }
  Match match;
  match.path_known = best >= 0;
  for (const auto& [route, pattern] : patterns_) {
    if (!match.path_known || route->path != path) continue;
    if (route->method == wanted) match.route = route;
    match.anybody = match.anybody || route->role == Role::Public;
    match.allow += fmt::format("{}{}", match.allow.empty() ? "" : ", ", to_string(route->method));
    if (route->method == Method::Get) match.allow += ", HEAD";
  }
  return match;
}

Match Router::find(Method method, std::span<const std::string> segments) const {
  Match match = find_exactly(method, segments);
  const bool below_base = segments.size() == 3 && segments[0] == "api" && segments[1] == "v1";
  return match.path_known || !below_base ? match : find_exactly(method, segments.subspan(2));
}

}  // namespace dhub::api
