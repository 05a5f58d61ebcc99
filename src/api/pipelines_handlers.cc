// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <fmt/format.h>
#include <map>

#include "api/body_reader.h"
#include "api/handlers.h"
#include "api/json.h"
#include "api/query_reader.h"

namespace dhub::api {
namespace {

constexpr std::array<std::string_view, 5> kCreateFields{"id", "name", "options", "steps", "metadata"};
constexpr std::array<std::string_view, 8> kPutFields{"id",       "name",    "options",    "steps",
                                                     "metadata", "version", "created_at", "running_version"};

using Running = std::map<std::int64_t, Version>;

// Version that the trigger of each pipeline runs, of those that are not stopped.
Result<Running> running_versions(const HandlerContext& context) {
  ASSIGN_OR_RETURN(const auto triggers, context.services.catalog.triggers());
  Running running;
  for (const auto& trigger : triggers)
    if (trigger.desired != DesiredState::Stopped) running[trigger.pipeline.value] = trigger.version;
  return running;
}

Result<std::optional<Version>> running_version(const HandlerContext& context, PipelineUid pipeline) {
  const auto trigger = context.services.catalog.trigger(pipeline);
  if (trigger && trigger->desired != DesiredState::Stopped) return std::optional<Version>(trigger->version);
  if (!trigger && trigger.error().code != ErrorCode::NotFound) return fail(trigger.error());
  return std::optional<Version>();
}

std::string text_of(Version version) {
  return std::to_string(version.value);
}

void write_pipeline(const PipelineVersion& pipeline, std::optional<Version> running, JsonWriter& out) {
  out.begin_object().field("id", pipeline.id).field("name", pipeline.name).field("version", text_of(pipeline.version));
  out.key("options").raw(pipeline.options_json);
  out.key("steps").raw(pipeline.steps_json);
  out.key("metadata").raw(pipeline.metadata_json);
  out.field("created_at", to_rfc3339(pipeline.created_at));
  if (running) out.field("running_version", text_of(*running));
  out.end_object();
}

Response pipeline_response(const HandlerContext& context, const PipelineVersion& pipeline, int status) {
  const auto running = running_version(context, pipeline.uid);
  if (!running) return error_response(running.error());
  JsonWriter out;
  write_pipeline(pipeline, *running, out);
  Response response = json_response(out.take(), status);
  response.headers.emplace_back("ETag", fmt::format("\"{}\"", pipeline.version));
  return response;
}

std::optional<std::string> raw_member(ObjectReader& object, std::string_view name, Json::Kind kind) {
  const Json* member = object.get(name, kind);
  if (member == nullptr) return std::nullopt;
  return std::string(member->raw);
}

PipelineChange read_change(ObjectReader& object) {
  return {object.text("name"), raw_member(object, "steps", Json::Kind::List),
          raw_member(object, "options", Json::Kind::Object), raw_member(object, "metadata", Json::Kind::Object)};
}

// If-Match as the version that the newest one must be; none: whatever it is. Of several tags the newest version's
// counts, so that version is looked up.
Result<std::optional<Version>> read_if_match(const Request& request, const PipelineVersion& newest) {
  ASSIGN_OR_RETURN(const auto header, request.header("if-match"));
  if (!header || *header == "*") return std::optional<Version>();
  std::string_view rest = *header;
  std::optional<Version> named;
  while (!rest.empty()) {
    const auto tag = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(tag.size() + 1, rest.size()));
    const auto begin = tag.find_first_not_of(" \t");
    const auto end = tag.find_last_not_of(" \t");
    const bool quoted = begin != tag.npos && end > begin && tag[begin] == '"' && tag[end] == '"';
    const bool weak = begin != tag.npos && tag.substr(begin, 2) == "W/";
    if (!quoted && !weak)
      return fail(ErrorCode::Malformed, "The header If-Match must be a version in quotes, such as \"3\", or *.");
    const auto version = weak ? std::nullopt : parse_version(tag.substr(begin + 1, end - begin - 1));
    if (version && (!named || *version == newest.version)) named = version;
  }
  if (named) return named;
  return fail(ErrorCode::PreconditionFailed,
              fmt::format("The newest version of pipeline '{}' is {}, which If-Match does not name; get it, make the "
                          "change there, and send it again.",
                          newest.id, newest.version));
}

Result<PipelineVersion> change_pipeline(const HandlerContext& context, const Request& request,
                                        const PipelineVersion& newest, const Json& body) {
  std::vector<FieldError> errors;
  ObjectReader object(body, "", kPutFields, errors);
  PipelineChange change = read_change(object);
  ASSIGN_OR_RETURN(const auto running, running_version(context, newest.uid));
  object.unchanged("id", newest.id);
  object.unchanged("version", text_of(newest.version));
  object.unchanged("created_at", to_rfc3339(newest.created_at));
  object.unchanged("running_version", running ? std::optional(text_of(*running)) : std::nullopt);
  if (!errors.empty()) return fail(invalid_body(std::move(errors)));
  ASSIGN_OR_RETURN(const auto if_match, read_if_match(request, newest));
  return context.services.pipelines.put(newest.id, change, if_match);
}

std::optional<service::NewPipeline> read_new_pipeline(const Json& body, std::vector<FieldError>& errors) {
  ObjectReader object(body, "", kCreateFields, errors);
  const PipelineChange content = read_change(object);
  const auto id = object.text("id");
  if (id)
    if (const auto valid = validate_pipeline_id(*id); !valid) object.wrong("id", valid.error().message);
  if (!object.has("name")) object.wrong("name", "is missing");
  if (!errors.empty()) return std::nullopt;
  service::NewPipeline pipeline{id, content.name.value_or("")};
  if (content.steps_json) pipeline.steps_json = *content.steps_json;
  if (content.options_json) pipeline.options_json = *content.options_json;
  if (content.metadata_json) pipeline.metadata_json = *content.metadata_json;
  return pipeline;
}

}  // namespace

void create_pipeline(const HandlerContext& context, const Request& request, Reply reply) {
  JsonReader reader;
  const auto body = read_object(request, reader);
  if (!body) return reply(body.error());
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  std::vector<FieldError> errors;
  const auto pipeline = read_new_pipeline(*body, errors);
  if (!pipeline) return reply(error_response(invalid_body(std::move(errors))));
  const auto created = context.services.pipelines.create(*pipeline);
  if (!created) return reply(error_response(created.error()));
  Response response = pipeline_response(context, *created, 201);
  response.headers.emplace_back("Location", "/api/v1/pipelines/" + created->id);
  reply(std::move(response));
}

void list_pipelines(const HandlerContext& context, const Request& request, Reply reply) {
  QueryReader query(request);
  const std::size_t limit = query.limit();
  const std::string after = query.text("token").value_or("");
  if (!after.empty() && !validate_pipeline_id(after)) query.wrong("token", "is not a token that a list has answered");
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  const auto pipelines = context.services.catalog.pipelines(after, limit + 1);
  if (!pipelines) return reply(error_response(pipelines.error()));
  const auto running = running_versions(context);
  if (!running) return reply(error_response(running.error()));
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  for (std::size_t i = 0; i < std::min(limit, pipelines->size()); ++i) {
    const auto found = running->find((*pipelines)[i].uid.value);
    write_pipeline((*pipelines)[i], found == running->end() ? std::nullopt : std::optional(found->second), out);
  }
  out.end_list();
  if (pipelines->size() > limit) out.field("token", (*pipelines)[limit - 1].id);
  reply(json_response(out.end_object().take()));
}

void get_pipeline(const HandlerContext& context, const Request& request, Reply reply) {
  std::optional<Version> version;
  const auto pipeline = find_version(context, request, "version", version);
  if (!pipeline) return reply(error_response(pipeline.error()));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  reply(pipeline_response(context, *pipeline, 200));
}

void put_pipeline(const HandlerContext& context, const Request& request, Reply reply) {
  const auto newest = find_pipeline(context, request);
  if (!newest) return reply(error_response(newest.error()));
  JsonReader reader;
  const auto body = read_object(request, reader);
  if (!body) return reply(body.error());
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  const auto stored = change_pipeline(context, request, *newest, *body);
  reply(stored ? pipeline_response(context, *stored, 200) : error_response(stored.error()));
}

void delete_pipeline(const HandlerContext& context, const Request& request, Reply reply) {
  const auto newest = find_pipeline(context, request);
  if (!newest) return reply(error_response(newest.error()));
  if (auto refusal = check_no_body(request)) return reply(std::move(*refusal));
  QueryReader query(request);
  const bool discard = query.flag("discard_dead_letters");
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  const auto if_match = read_if_match(request, *newest);
  if (!if_match) return reply(error_response(if_match.error()));
  const auto deleted = context.services.catalog.delete_pipeline(newest->id, discard, *if_match);
  reply(deleted ? message_response("Pipeline deleted successfully") : error_response(deleted.error()));
}

void list_pipeline_versions(const HandlerContext& context, const Request& request, Reply reply) {
  const auto newest = find_pipeline(context, request);
  if (!newest) return reply(error_response(newest.error()));
  QueryReader query(request);
  const std::size_t limit = query.limit();
  const auto before = query.number_token();
  if (before > std::numeric_limits<std::int32_t>::max())
    query.wrong("token", "is not a token that a list has answered");
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  const auto versions = context.services.catalog.versions(newest->id, static_cast<std::int32_t>(before), limit + 1);
  if (!versions) return reply(error_response(versions.error()));
  const auto running = running_version(context, newest->uid);
  if (!running) return reply(error_response(running.error()));
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  for (std::size_t i = 0; i < std::min(limit, versions->size()); ++i) write_pipeline((*versions)[i], *running, out);
  out.end_list();
  if (versions->size() > limit) out.field("token", text_of((*versions)[limit - 1].version));
  reply(json_response(out.end_object().take()));
}

}  // namespace dhub::api
