// SPDX-License-Identifier: Apache-2.0
#include "api/query_reader.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <limits>

#include "api/route_table.h"
#include "base/suggest.h"

namespace dhub::api {

QueryReader::QueryReader(const Request& request) : request_(request) {
  const auto known = request.route == nullptr ? std::span<const std::string_view>{} : request.route->query;
  for (auto entry = request.query.begin(); entry != request.query.end(); ++entry) {
    const std::string& name = entry->first;
    const auto is_same = [&](const NameValue& other) { return other.first == name; };
    if (std::find(known.begin(), known.end(), name) == known.end())
      wrong(name, known.empty() ? "this call takes no parameters" : "is not a parameter; " + did_you_mean(name, known));
    else if (std::any_of(request.query.begin(), entry, is_same))
      wrong(name, "stands there twice");
  }
}

void QueryReader::wrong(std::string_view name, std::string detail) {
  errors_.push_back({fmt::format("?{}", name), std::move(detail)});
}

std::optional<std::string> QueryReader::text(std::string_view name) {
  for (const auto& [key, value] : request_.query)
    if (key == name) return value;
  return std::nullopt;
}

std::optional<std::int64_t> QueryReader::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  std::int64_t number = 0;
  const auto parsed = std::from_chars(value->data(), value->data() + value->size(), number);
  const bool good = parsed.ec == std::errc{} && parsed.ptr == value->data() + value->size() && number >= least &&
                    number <= most && !value->empty();
  if (good) return number;
  if (most == std::numeric_limits<std::int64_t>::max())
    wrong(name, fmt::format("must be a whole number, {} or more", least));
  else
    wrong(name, fmt::format("must be a whole number from {} to {}", least, most));
  return std::nullopt;
}

bool QueryReader::flag(std::string_view name) {
  const auto value = text(name);
  if (value && *value != "true" && *value != "false") wrong(name, "must be true or false");
  return value == "true";
}

std::optional<Duration> QueryReader::duration(std::string_view name, Duration most) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  const auto parsed = parse_duration(*value);
  if (parsed && *parsed <= most) return *parsed;
  wrong(name, fmt::format("must be a duration such as 10s, at most {}", dhub::to_string(most)));
  return std::nullopt;
}

std::optional<std::size_t> QueryReader::choice(std::string_view name, std::span<const std::string_view> known) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  const auto found = std::find(known.begin(), known.end(), *value);
  if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
  wrong(name, fmt::format("must be one of {}", fmt::join(known, ", ")));
  return std::nullopt;
}

std::size_t QueryReader::limit() {
  return static_cast<std::size_t>(integer("limit", 1, kLargestPage).value_or(kUsualPage));
}

std::int64_t QueryReader::number_token() {
  const auto before = errors_.size();
  const auto number = integer("token", 1, std::numeric_limits<std::int64_t>::max());
  if (errors_.size() > before) errors_.back().detail = "is not a token that a list has answered";
  return number.value_or(0);
}

Status QueryReader::status() const {
  if (errors_.empty()) return {};
  return fail(
      {ErrorCode::InvalidArgument,
       fmt::format("The parameters of the URL are not acceptable: {} {}.", errors_[0].pointer, errors_[0].detail),
       errors_});
}

}  // namespace dhub::api
