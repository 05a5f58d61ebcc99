// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>

#include "api/body_reader.h"
#include "api/handlers.h"
#include "api/json.h"
#include "api/query_reader.h"

namespace dhub::api {
namespace {

constexpr std::array<std::string_view, 2> kTopicFields{"partitions", "retention"};
constexpr std::array<std::string_view, 2> kRetentionFields{"age", "bytes"};

void write_topic(const Topic& topic, JsonWriter& out) {
  // How long another system keeps its messages, how large they are and since when it has the topic, it alone knows.
  const bool ours = topic.cluster.empty();
  out.begin_object().field("name", topic.name);
  if (!ours) out.field("cluster", topic.cluster);
  out.field("partitions", topic.settings.partitions);
  if (ours)
    out.key("retention")
        .begin_object()
        .field("age", dhub::to_string(topic.settings.retention_age))
        .field("bytes", static_cast<std::int64_t>(topic.settings.retention_bytes))
        .end_object()
        .field("created_at", to_rfc3339(topic.created_at));
  out.key("offsets").begin_list();
  for (const auto& range : topic.partitions) {
    out.begin_object()
        .field("partition", range.partition.value)
        .field("start", range.start.value)
        .field("end", range.end.value);
    if (ours) out.field("bytes", static_cast<std::int64_t>(range.bytes));
    out.end_object();
  }
  out.end_list().end_object();
}

// Of the characters that a name may have, only the '/' after its cluster means something in a path.
std::string path_of(const Topic& topic) {
  std::string name = topic.name;
  if (const auto slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "%2F");
  return "/api/v1/topics/" + name;
}

Response topic_response(const Topic& topic, int status) {
  JsonWriter out;
  write_topic(topic, out);
  return json_response(out.take(), status);
}

void read_retention(const Json& json, TopicSettings& settings, std::vector<FieldError>& errors) {
  ObjectReader retention(json, "/retention", kRetentionFields, errors);
  if (const auto age = retention.text("age")) {
    const auto parsed = parse_duration(*age);
    if (parsed)
      settings.retention_age = *parsed;
    else
      retention.wrong("age", "must be a duration such as 12h or 7d");
  }
  const Json* bytes = json.find("bytes");
  if (bytes == nullptr) return;
  if (bytes->is(Json::Kind::String)) {
    const auto parsed = parse_size(bytes->text);
    if (parsed)
      settings.retention_bytes = *parsed;
    else
      retention.wrong("bytes", "must be a size such as 64MiB, or a number of bytes; 0 is no limit");
    return;
  }
  const auto number = retention.integer("bytes");
  if (number && *number < 0) retention.wrong("bytes", "must not be negative; 0 is no limit");
  if (number && *number >= 0) settings.retention_bytes = static_cast<std::uint64_t>(*number);
}

// What the body says over what `settings` are; Conflict is told by the log, when the number of partitions differs.
Result<TopicSettings> read_settings(const Json& body, TopicSettings settings) {
  std::vector<FieldError> errors;
  ObjectReader object(body, "", kTopicFields, errors);
  if (const auto partitions = object.integer("partitions"))
    settings.partitions =
        static_cast<std::int32_t>(std::clamp<std::int64_t>(*partitions, -1, std::numeric_limits<std::int32_t>::max()));
  if (const Json* retention = object.get("retention", Json::Kind::Object)) read_retention(*retention, settings, errors);
  if (!errors.empty()) return fail(invalid_body(std::move(errors)));
  RETURN_IF_ERROR(validate(settings));
  return settings;
}

Response store_topic(const HandlerContext& context, const std::string& name, const Json& body) {
  EventLog& log = context.services.event_log;
  const auto existing = log.topic(name);
  if (!existing && existing.error().code != ErrorCode::NotFound) return error_response(existing.error());
  const auto settings = read_settings(body, existing ? existing->settings : TopicSettings{});
  if (!settings) return error_response(settings.error());
  if (!existing) {
    const auto created = log.create_topic(name, *settings);
    if (created) {
      Response response = topic_response(*created, 201);
      response.headers.emplace_back("Location", path_of(*created));
      return response;
    }
    // Somebody else made it in between.
    if (created.error().code != ErrorCode::AlreadyExists) return error_response(created.error());
  }
  const auto updated = log.update_topic(name, *settings);
  return updated ? topic_response(*updated, 200) : error_response(updated.error());
}

}  // namespace

void list_topics(const HandlerContext& context, const Request& request, Reply reply) {
  QueryReader query(request);
  const std::size_t limit = query.limit();
  const std::string after = query.text("token").value_or("");
  if (!after.empty() && !parse_topic_name(after)) query.wrong("token", "is not a token that a list has answered");
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  const auto topics = context.services.event_log.topics(after, limit + 1);
  if (!topics) return reply(error_response(topics.error()));
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  for (std::size_t i = 0; i < std::min(limit, topics->size()); ++i) write_topic((*topics)[i], out);
  out.end_list();
  if (topics->size() > limit) out.field("token", (*topics)[limit - 1].name);
  reply(json_response(out.end_object().take()));
}

void get_topic(const HandlerContext& context, const Request& request, Reply reply) {
  const auto topic = find_topic(context, request);
  if (!topic) return reply(error_response(topic.error()));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  reply(topic_response(*topic, 200));
}

void put_topic(const HandlerContext& context, const Request& request, Reply reply) {
  JsonReader reader;
  // Without a body it is a topic with default settings, or as it is.
  Json unchanged;
  unchanged.kind = Json::Kind::Object;
  const auto body = request.body.empty() ? unchanged : read_object(request, reader);
  if (!body) return reply(body.error());
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  const std::string& name = request.parameter("topic");
  if (const auto valid = parse_topic_name(name); !valid) return reply(error_response(valid.error()));
  reply(store_topic(context, name, *body));
}

void delete_topic(const HandlerContext& context, const Request& request, Reply reply) {
  const auto topic = find_topic(context, request);
  if (!topic) return reply(error_response(topic.error()));
  if (auto refusal = check_no_body(request)) return reply(std::move(*refusal));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  const auto deleted = context.services.event_log.delete_topic(topic->name);
  reply(deleted ? message_response("Topic deleted successfully") : error_response(deleted.error()));
}

}  // namespace dhub::api
