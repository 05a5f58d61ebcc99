// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "api/body_reader.h"
#include "api/handlers.h"
#include "api/json.h"
#include "api/numbers.h"
#include "api/query_reader.h"
#include "base/guarded.h"
#include "base/utf8.h"

namespace dhub::api {
namespace {

constexpr Duration kLongestWait = std::chrono::seconds(60);
constexpr std::array<std::string_view, 3> kFrom{"committed", "latest", "earliest"};
constexpr std::array<std::string_view, 2> kPosition{"keep", "forget"};

const char* to_string(DesiredState desired) {
  switch (desired) {
    case DesiredState::Running:
      return "running";
    case DesiredState::Paused:
      return "paused";
    case DesiredState::Stopped:
      return "stopped";
  }
  return "stopped";
}

bool has_event_option(const PipelineVersion& pipeline) {
  JsonReader reader;
  const auto options = reader.parse(pipeline.options_json, JsonRules{});
  const Json* event = options ? options->find("event") : nullptr;
  return event != nullptr && event->is(Json::Kind::String) && !event->text.empty();
}

Response event_option_missing(const HandlerContext& context, const Request& request) {
  const std::string& id = request.parameter("pipeline_id");
  context.services.metrics
      .counter("dhub_events_start_refused_total", "Starts of a trigger that were refused.",
               {{"reason", "event_option_missing"}})
      .add();
  context.services.logger.warn("a pipeline without an event option cannot be started",
                               {{"pipeline", id}, {"trace_id", request.trace_id}});
  return error_response({ErrorCode::EventOptionMissing,
                         fmt::format("Pipeline '{0}' has no event option, so there is no topic to listen on. Add "
                                     "\"event\": \"<topic>\" to its options (PUT /api/v1/pipelines/{0}), then start "
                                     "it again.",
                                     id),
                         {}});
}

// Forms of `from` that are defined but not served: a time, or so long ago.
bool is_known_from(std::string_view text) {
  if (text.size() > 1 && text[0] == '-' && parse_duration(text.substr(1))) return true;
  return parse_rfc3339(text).has_value();
}

// "0:123,1:456": a partition and where to begin in it. None when it is not of that form, or names a partition twice.
std::optional<std::vector<StartOffset>> read_offsets(std::string_view text) {
  std::vector<StartOffset> offsets;
  if (text.empty() || text.ends_with(',')) return std::nullopt;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(','));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const auto colon = pair.find(':');
    const auto partition = parse_number<std::int32_t>(pair.substr(0, colon));
    const auto offset = colon == pair.npos ? std::nullopt : parse_number<std::int64_t>(pair.substr(colon + 1));
    if (!partition || !offset) return std::nullopt;
    const PartitionId id{*partition};
    const bool twice = std::any_of(offsets.begin(), offsets.end(), [&](const auto& o) { return o.partition == id; });
    if (twice) return std::nullopt;
    offsets.push_back({id, Offset{*offset}});
  }
  return offsets;
}

// Kafka allows any text; control characters would only make a mess of logs and tables.
bool is_group_name(std::string_view name) {
  if (name.empty() || name.size() > 249) return false;
  while (!name.empty()) {
    const CodePoint point = take_code_point(name);
    if (!point.valid || is_control(point.value)) return false;
  }
  return true;
}

void read_from(QueryReader& query, service::StartCommand& command) {
  const auto from = query.text("from");
  if (from) {
    if (const auto word = std::find(kFrom.begin(), kFrom.end(), *from); word != kFrom.end())
      command.from = static_cast<service::StartFrom>(word - kFrom.begin());
    else if (auto offsets = read_offsets(*from))
      command.offsets = std::move(*offsets);
    else
      query.wrong("from", "must be committed, latest, earliest, or offsets by partition such as 0:123,1:456");
  }
  const auto group = query.text("group");
  if (!group) return;
  command.group = *group;
  if (!is_group_name(*group))
    query.wrong("group", "must be the name of a consumer group, at most 249 bytes without control characters");
  if (from && command.from != service::StartFrom::Committed)
    query.wrong("group", "goes with from=committed only: it says where the trigger begins");
}

Result<service::StartCommand> read_start(const Request& request, std::optional<Version> version) {
  QueryReader query(request);
  service::StartCommand command{request.parameter("pipeline_id"), version, std::nullopt};
  const auto from = query.text("from");
  const bool unserved = query.text("dry_run") || (from && is_known_from(*from));
  if (!unserved) read_from(query, command);
  RETURN_IF_ERROR(query.status());
  if (unserved)
    return fail(ErrorCode::Unsupported,
                "This server starts from committed, latest, earliest, or offsets such as 0:123; dry_run and times are "
                "not served yet.");
  return command;
}

Response started_response(const service::Started& started) {
  Response response = message_response("Event started successfully");
  if (started.resumed && started.backlog > 0)
    response.headers.emplace_back("X-Backlog", std::to_string(started.backlog));
  if (started.group != service::GroupUse::None)
    response.headers.emplace_back("X-Position", started.group == service::GroupUse::Adopted ? "group" : "own");
  return response;
}

void write_conditions(const std::vector<service::Condition>& conditions, JsonWriter& out) {
  out.key("conditions").begin_list();
  for (const auto& condition : conditions)
    out.begin_object()
        .field("type", condition.type)
        .field("ok", condition.ok)
        .field("reason", condition.reason)
        .field("message", condition.message)
        .field("next_action", condition.next_action)
        .end_object();
  out.end_list();
}

void write_partitions(const std::vector<service::PartitionStatus>& partitions, JsonWriter& out) {
  out.key("partitions").begin_list();
  for (const auto& partition : partitions) {
    out.begin_object().field("partition", partition.partition.value).field("cursor", partition.cursor.value);
    if (partition.end_known) out.field("end", partition.end.value).field("lag", partition.lag);
    out.field("waiting", partition.waiting)
        .field("in_flight", partition.in_flight)
        .field("retrying", partition.retrying);
    if (partition.blocked_by) out.field("blocked_by", partition.blocked_by->value);
    out.end_object();
  }
  out.end_list();
}

// What the list and the status begin with. A pipeline that was never started has no version and topic.
void write_summary(const service::TriggerStatus& status, JsonWriter& out) {
  const Trigger& trigger = status.trigger;
  std::int64_t lag = 0;
  bool lag_known = true;
  for (const auto& partition : status.partitions) {
    lag += partition.lag;
    lag_known = lag_known && partition.end_known;
  }
  out.field("pipeline_id", trigger.pipeline_id)
      .field("ready", status.ready)
      .field("state", to_string(trigger.desired))
      .field("generation", trigger.generation.value);
  if (trigger.version.value > 0)
    out.field("version", std::to_string(trigger.version.value))
        .field("topic", trigger.topic_name)
        .field("started_at", to_rfc3339(trigger.started_at));
  if (lag_known) out.field("lag", lag);
  out.field("in_flight", status.in_flight);
  out.key("instances")
      .begin_object()
      .field("count", status.instances)
      .field("ready", status.instances_ready)
      .field("wanted", status.instances_wanted)
      .field("reason", status.scaling_reason)
      .end_object();
  if (!status.last_error.empty()) out.field("last_error", status.last_error);
  if (status.last_error_at) out.field("last_error_at", to_rfc3339(*status.last_error_at));
}

Response status_response(const service::TriggerStatus& status) {
  JsonWriter out;
  out.begin_object();
  write_summary(status, out);
  write_conditions(status.conditions, out);
  write_partitions(status.partitions, out);
  out.field("in_flight_bound", status.in_flight_bound);
  out.key("counts")
      .begin_object()
      .field("succeeded", status.succeeded)
      .field("filtered", status.filtered)
      .field("dead_lettered", status.dead_lettered)
      .field("expired", status.expired)
      .field("failed_attempts", status.failed_attempts)
      .end_object();
  out.field("etag", status.etag).end_object();
  Response response = json_response(out.take());
  response.headers.emplace_back("ETag", fmt::format("\"{}\"", status.etag));
  return response;
}

Response status_now(const service::Triggers& triggers, const std::string& id) {
  const auto status = triggers.status(id);
  return status ? status_response(*status) : error_response(status.error());
}

struct WaitFor {
  std::string id;
  std::string seen;
  Duration most;
};

// Answers when the status is another than was seen, at the latest when the time is over. A client that goes away takes
// its wait along.
void answer_change(service::Triggers& triggers, const WaitFor& what, Reply reply) {
  const auto answer = [&triggers, id = what.id] { return status_now(triggers, id); };
  using Held = Guarded<std::unique_ptr<service::Triggers::Wait>>;
  const auto held = std::make_shared<Held>();                   // shared: with the connection
  const auto once = std::make_shared<Reply>(std::move(reply));  // shared: a callback must be copyable
  once->hold(what.most, answer, held);
  auto waits = triggers.wait(what.id, what.seen, [once, answer] { once->later(answer); });
  if (!waits) return (*once)(error_response(waits.error()));
  held->with([&](auto& wait) { wait = std::move(*waits); });
}

Response list_response(std::vector<service::TriggerStatus> all, std::size_t limit, const std::string& after) {
  const auto id_of = [](const service::TriggerStatus& status) -> const std::string& {
    return status.trigger.pipeline_id;
  };
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return id_of(a) < id_of(b); });
  auto next = std::upper_bound(all.begin(), all.end(), after,
                               [&](const std::string& id, const auto& status) { return id < id_of(status); });
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  for (std::size_t n = 0; n < limit && next != all.end(); ++n, ++next) {
    out.begin_object();
    write_summary(*next, out);
    out.end_object();
  }
  out.end_list();
  if (next != all.end()) out.field("token", id_of(*std::prev(next)));
  return json_response(out.end_object().take());
}

// Pause and resume differ in a word only.
template <typename Change>
void change_event(const HandlerContext& context, const Request& request, Reply reply, std::string message,
                  const Change& change) {
  const auto pipeline = find_pipeline(context, request);
  if (!pipeline) return reply(error_response(pipeline.error()));
  if (auto refusal = check_no_body(request)) return reply(std::move(*refusal));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  change(context.services.triggers, pipeline->id,
         answering(std::move(reply), [message = std::move(message)](const service::Triggers::Nothing&) {
           return message_response(message);
         }));
}

}  // namespace

void start_event(const HandlerContext& context, const Request& request, Reply reply) {
  std::optional<Version> version;
  const auto pipeline = find_version(context, request, "pipeline_version", version);
  if (!pipeline) return reply(error_response(pipeline.error()));
  if (!has_event_option(*pipeline)) return reply(event_option_missing(context, request));
  if (auto refusal = check_no_body(request)) return reply(std::move(*refusal));
  auto command = read_start(request, version);
  if (!command) return reply(error_response(command.error()));
  context.services.triggers.start(std::move(*command), answering(std::move(reply), started_response));
}

void get_event(const HandlerContext& context, const Request& request, Reply reply) {
  const auto pipeline = find_pipeline(context, request);
  if (!pipeline) return reply(error_response(pipeline.error()));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  const auto status = context.services.triggers.status(pipeline->id);
  if (!status) return reply(error_response(status.error()));
  reply(json_response(JsonWriter().begin_object().field("ready", status->ready).end_object().take()));
}

void delete_event(const HandlerContext& context, const Request& request, Reply reply) {
  const auto pipeline = find_pipeline(context, request);
  if (!pipeline) return reply(error_response(pipeline.error()));
  if (auto refusal = check_no_body(request)) return reply(std::move(*refusal));
  QueryReader query(request);
  const bool forget = query.choice("position", kPosition) == std::size_t{1};
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  context.services.triggers.stop(pipeline->id, forget,
                                 answering(std::move(reply), [](const service::Triggers::Nothing&) {
                                   return message_response("Event deleted successfully");
                                 }));
}

void pause_event(const HandlerContext& context, const Request& request, Reply reply) {
  change_event(context, request, std::move(reply), "Event paused successfully",
               [](auto& triggers, const auto& id, auto done) { triggers.pause(id, std::move(done)); });
}

void resume_event(const HandlerContext& context, const Request& request, Reply reply) {
  change_event(context, request, std::move(reply), "Event resumed successfully",
               [](auto& triggers, const auto& id, auto done) { triggers.resume(id, std::move(done)); });
}

void get_event_status(const HandlerContext& context, const Request& request, Reply reply) {
  const auto pipeline = find_pipeline(context, request);
  if (!pipeline) return reply(error_response(pipeline.error()));
  QueryReader query(request);
  const auto wait = query.duration("wait", kLongestWait);
  const auto seen = query.text("seen");
  if (wait && !seen) query.wrong("wait", "needs ?seen=<etag>: what the status must differ from");
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  if (wait && seen) return answer_change(context.services.triggers, {pipeline->id, *seen, *wait}, std::move(reply));
  reply(status_now(context.services.triggers, pipeline->id));
}

void list_events(const HandlerContext& context, const Request& request, Reply reply) {
  QueryReader query(request);
  const std::size_t limit = query.limit();
  const std::string after = query.text("token").value_or("");
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  auto all = context.services.triggers.list();
  reply(all ? list_response(std::move(*all), limit, after) : error_response(all.error()));
}

}  // namespace dhub::api
