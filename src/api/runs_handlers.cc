// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <fmt/format.h>
#include <limits>

#include "api/handlers.h"
#include "api/json.h"
#include "api/numbers.h"
#include "api/query_reader.h"

namespace dhub::api {
namespace {

constexpr std::array kKinds{OutcomeKind::Succeeded,  OutcomeKind::Filtered, OutcomeKind::Failed,
                            OutcomeKind::Rejected,   OutcomeKind::Crashed,  OutcomeKind::TimedOut,
                            OutcomeKind::OutOfMemory};
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

std::optional<OutcomeKind> read_state(QueryReader& query) {
  std::array<std::string_view, kKinds.size()> names;
  for (std::size_t i = 0; i < kKinds.size(); ++i) names[i] = to_string(kKinds[i]);
  const auto choice = query.choice("state", names);
  return choice ? std::optional(kKinds[*choice]) : std::nullopt;
}

Result<RunFilter> read_filter(const Request& request) {
  QueryReader query(request);
  RunFilter filter;
  filter.kind = read_state(query);
  filter.key = query.text("key");
  filter.error_text = query.text("error");
  if (const auto partition = query.integer("partition", 0, std::numeric_limits<std::int32_t>::max()))
    filter.partition = PartitionId{static_cast<std::int32_t>(*partition)};
  if (const auto offset = query.integer("offset", 0, kLargest)) filter.offset = Offset{*offset};
  filter.before = query.number_token();
  filter.limit = query.limit();
  RETURN_IF_ERROR(query.status());
  return filter;
}

// The trigger of the pipeline that the path names; NotFound when it was never started.
Result<Trigger> find_trigger(const HandlerContext& context, const Request& request) {
  ASSIGN_OR_RETURN(const PipelineVersion pipeline, find_pipeline(context, request));
  auto trigger = context.services.catalog.trigger(pipeline.uid);
  if (!trigger && trigger.error().code == ErrorCode::NotFound)
    return fail(ErrorCode::NotFound, fmt::format("Pipeline '{}' was never started, so there are no runs; start it "
                                                 "with POST /api/v1/events/{}.",
                                                 pipeline.id, pipeline.id));
  return trigger;
}

void write_attempt(const AttemptDetail& attempt, bool whole, JsonWriter& out) {
  out.begin_object()
      .field("run_id", to_string(attempt.run))
      .field("attempt", attempt.attempt)
      .field("state", to_string(attempt.kind))
      .field("partition", attempt.run.partition.value)
      .field("offset", attempt.run.offset.value);
  if (!attempt.key.empty()) out.field("key", attempt.key);
  out.field("version", std::to_string(attempt.version.value))
      .field("instance", std::to_string(attempt.instance.value))
      .field("delivery", std::to_string(attempt.delivery.value))
      .field("started_at", to_rfc3339(attempt.started_at));
  // Three digits after the point are exact for microseconds.
  out.key("duration_ms").raw(fmt::format("{}.{:03}", attempt.duration_us / 1000, attempt.duration_us % 1000));
  if (!attempt.step.empty()) out.field("step", attempt.step);
  if (!attempt.error.empty()) out.field("error", attempt.error);
  if (whole) out.field("trace", attempt.trace).field("log", attempt.log);
  out.end_object();
}

Response runs_response(const std::vector<ArchivedAttempt>& attempts, std::size_t limit) {
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  for (std::size_t i = 0; i < std::min(limit, attempts.size()); ++i) write_attempt(attempts[i].detail, false, out);
  out.end_list();
  if (attempts.size() > limit) out.field("token", std::to_string(attempts[limit - 1].sequence));
  return json_response(out.end_object().take());
}

Response run_response(const RunId& run, const std::vector<ArchivedAttempt>& attempts) {
  JsonWriter out;
  out.begin_object()
      .field("run_id", to_string(run))
      .field("partition", run.partition.value)
      .field("offset", run.offset.value)
      .field("state", to_string(attempts.back().detail.kind));
  out.key("attempts").begin_list();
  for (const auto& attempt : attempts) write_attempt(attempt.detail, true, out);
  return json_response(out.end_list().end_object().take());
}

Response state_response(PartitionId partition, Offset offset, const service::MessageState& state) {
  JsonWriter out;
  out.begin_object().field("partition", partition.value).field("offset", offset.value).field("state", state.state);
  if (state.blocked_by) out.field("blocked_by", state.blocked_by->value);
  if (state.attempt) out.field("attempt", *state.attempt);
  if (state.next_attempt_at) out.field("next_attempt_at", to_rfc3339(*state.next_attempt_at));
  if (!state.last_error.empty()) out.field("last_error", state.last_error);
  return json_response(out.end_object().take());
}

}  // namespace

void list_runs(const HandlerContext& context, const Request& request, Reply reply) {
  const auto trigger = find_trigger(context, request);
  const bool never_started = !trigger && trigger.error().code == ErrorCode::NotFound;
  if (const auto pipeline = find_pipeline(context, request); !pipeline) return reply(error_response(pipeline.error()));
  if (!trigger && !never_started) return reply(error_response(trigger.error()));
  auto filter = read_filter(request);
  if (!filter) return reply(error_response(filter.error()));
  if (never_started) return reply(runs_response({}, filter->limit));
  const std::size_t limit = filter->limit++;
  const auto attempts = context.services.archive.attempts({trigger->position}, *filter);
  reply(attempts ? runs_response(*attempts, limit) : error_response(attempts.error()));
}

void get_run(const HandlerContext& context, const Request& request, Reply reply) {
  const auto trigger = find_trigger(context, request);
  if (!trigger) return reply(error_response(trigger.error()));
  const std::string& text = request.parameter("run_id");
  const auto run = parse_run_id(text);
  auto attempts = run ? context.services.archive.run(trigger->position, *run)
                      : Result<std::vector<ArchivedAttempt>>(std::vector<ArchivedAttempt>{});
  if (!attempts) return reply(error_response(attempts.error()));
  if (attempts->empty())
    return reply(error_response({ErrorCode::NotFound,
                                 fmt::format("There are no details of run '{}' (any more); what became of a message "
                                             "is at /api/v1/events/{}/messages/{{partition}}/{{offset}}.",
                                             shown(text), request.parameter("pipeline_id")),
                                 {}}));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  reply(run_response(*run, *attempts));
}

void get_message_state(const HandlerContext& context, const Request& request, Reply reply) {
  const auto trigger = find_trigger(context, request);
  if (!trigger) return reply(error_response(trigger.error()));
  const auto partition = parse_number<std::int32_t>(request.parameter("partition"));
  const auto offset = parse_number<std::int64_t>(request.parameter("offset"));
  if (!partition || !offset)
    return reply(error_response(
        {ErrorCode::NotFound, "There is no such message: partition and offset are whole numbers from 0.", {}}));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  const PartitionId where{*partition};
  const Offset at{*offset};
  context.services.triggers.message_state(trigger->pipeline_id, where, at,
                                          answering(std::move(reply), [where, at](const service::MessageState& state) {
                                            return state_response(where, at, state);
                                          }));
}

}  // namespace dhub::api
