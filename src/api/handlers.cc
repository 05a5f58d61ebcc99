// SPDX-License-Identifier: Apache-2.0
#include "api/handlers.h"

#include <algorithm>
#include <fmt/format.h>

#include "api/numbers.h"
#include "base/utf8.h"

namespace dhub::api {

std::string shown(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string out;
  while (!name.empty() && out.size() < kLongest) {
    const CodePoint next = take_code_point(name);
    out += !next.valid || is_control(next.value) ? std::string_view("?") : next.bytes;
  }
  return name.empty() ? out : out + "...";
}

std::optional<Version> parse_version(std::string_view text) {
  const auto number = parse_number<std::int32_t>(text);
  return number && text[0] != '0' ? std::optional<Version>(Version{*number}) : std::nullopt;
}

Result<PipelineVersion> find_pipeline(const HandlerContext& context, const Request& request) {
  const std::string& id = request.parameter("pipeline_id");
  if (validate_pipeline_id(id)) return context.services.catalog.pipeline(id, std::nullopt);
  return fail(ErrorCode::NotFound,
              fmt::format("There is no pipeline '{}'; GET /api/v1/pipelines lists those there are.", shown(id)));
}

Result<PipelineVersion> find_version(const HandlerContext& context, const Request& request, std::string_view parameter,
                                     std::optional<Version>& version) {
  auto newest = find_pipeline(context, request);
  const auto is_it = [&](const NameValue& entry) { return entry.first == parameter; };
  const auto found = std::find_if(request.query.begin(), request.query.end(), is_it);
  if (!newest || found == request.query.end()) return newest;
  version = parse_version(found->second);
  if (version) return context.services.catalog.pipeline(newest->id, version);
  return fail(ErrorCode::NotFound, fmt::format("Pipeline '{}' has no version '{}'; versions are numbered 1, 2, ...",
                                               newest->id, shown(found->second)));
}

Result<Topic> find_topic(const HandlerContext& context, const Request& request) {
  const std::string& name = request.parameter("topic");
  if (!parse_topic_name(name))
    return fail(ErrorCode::NotFound,
                fmt::format("There is no topic '{}'; GET /api/v1/topics lists those there are.", shown(name)));
  return context.services.event_log.topic(name);
}

}  // namespace dhub::api
