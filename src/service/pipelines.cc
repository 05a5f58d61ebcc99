// SPDX-License-Identifier: Apache-2.0
#include "service/pipelines.h"

#include <fmt/format.h>
#include <utility>

#include "pipeline/definition.h"
#include "pipeline/json.h"

namespace dhub::service {
namespace {

constexpr std::size_t kRandomIdLength = 12;
// Of 36^12 ids two are hardly ever the same; more than a few in a row are a defect.
constexpr int kIdTries = 3;
// A PUT is checked against the version that it builds on; another PUT in between means to check again.
constexpr int kPutTries = 8;

// Both of what is wrong, as one error.
Error joined(Error first, const Error& second) {
  first.fields.insert(first.fields.end(), second.fields.begin(), second.fields.end());
  if (second.code == ErrorCode::InvalidArgument) first.code = second.code;
  return first;
}

Result<Definition> check_definition(const PipelineVersion& content) {
  auto definition = pipeline::parse_definition(content.id, content.name, content.steps_json, content.options_json);
  const Status metadata = pipeline::validate_metadata(content.metadata_json);
  if (metadata) return definition;
  return fail(definition ? metadata.error() : joined(definition.error(), metadata.error()));
}

std::string summary(const std::vector<FieldError>& fields) {
  std::string text = fmt::format("The pipeline is not valid: {}: {}", fields[0].pointer, fields[0].detail);
  if (fields.size() > 1) text += fmt::format(" ({} more)", fields.size() - 1);
  return text;
}

Error script_errors(const std::vector<ScriptError>& errors) {
  Error error{ErrorCode::InvalidArgument, {}, {}};
  for (const auto& wrong : errors) {
    const std::string detail = wrong.line > 0 ? fmt::format("line {}: {}", wrong.line, wrong.message) : wrong.message;
    error.fields.push_back({fmt::format("/steps/{}/script", wrong.step), detail});
  }
  error.message = summary(error.fields);
  return error;
}

Status check_scripts(const Definition& definition, ScriptChecker& checker) {
  if (definition.steps.empty()) return {};
  const std::string& interpreter = definition.options.interpreter;
  const auto errors = checker.check(definition.steps, interpreter);
  if (!errors && errors.error().code == ErrorCode::Unavailable)
    return fail(ErrorCode::Unavailable,
                fmt::format("The scripts cannot be checked: {} Install {} where the server runs, or set "
                            "options.python.interpreter to a Python that is there, and send the request again.",
                            errors.error().message, interpreter.empty() ? "python3" : interpreter));
  if (!errors) return fail(errors.error());
  if (!errors->empty()) return fail(script_errors(*errors));
  return {};
}

// Topics that there can never be, with the pointers of the options and steps that name them.
Status check_topics(const Definition& definition, const TopicCheck& check) {
  if (!check) return {};
  Error error{ErrorCode::InvalidArgument, {}, {}};
  const auto look = [&](const std::optional<std::string>& topic, const std::string& pointer) {
    if (!topic) return;
    if (const Status good = check(*topic); !good) error.fields.push_back({pointer, good.error().message});
  };
  look(definition.options.event, "/options/event");
  look(definition.options.dead_letter_topic, "/options/dead_letter/topic");
  for (std::size_t i = 0; i < definition.steps.size(); ++i)
    look(definition.steps[i].result_topic, fmt::format("/steps/{}/outputs/result/topic", i));
  if (error.fields.empty()) return {};
  error.message = summary(error.fields);
  return fail(std::move(error));
}

PipelineVersion merged(PipelineVersion base, const PipelineChange& change) {
  if (change.name) base.name = *change.name;
  if (change.steps_json) base.steps_json = *change.steps_json;
  if (change.options_json) base.options_json = *change.options_json;
  if (change.metadata_json) base.metadata_json = *change.metadata_json;
  return base;
}

}  // namespace

Pipelines::Pipelines(Catalog& catalog, ScriptChecker& checker, std::uint64_t seed, TopicCheck check_topic)
    : catalog_(catalog), checker_(checker), check_topic_(std::move(check_topic)), random_(Random(seed)) {}

Status Pipelines::prepare(PipelineVersion& content) {
  ASSIGN_OR_RETURN(const Definition definition, check_definition(content));
  RETURN_IF_ERROR(check_topics(definition, check_topic_));
  RETURN_IF_ERROR(check_scripts(definition, checker_));
  ASSIGN_OR_RETURN(content.steps_json, pipeline::canonical_json(content.steps_json));
  ASSIGN_OR_RETURN(content.options_json, pipeline::canonical_json(content.options_json));
  ASSIGN_OR_RETURN(content.metadata_json, pipeline::canonical_json(content.metadata_json));
  return {};
}

Result<PipelineVersion> Pipelines::create(const NewPipeline& pipeline) {
  PipelineVersion content;
  content.name = pipeline.name;
  content.steps_json = pipeline.steps_json;
  content.options_json = pipeline.options_json;
  content.metadata_json = pipeline.metadata_json;
  const auto random_id = [this] {
    return "pipeline-" + random_.with([](Random& random) { return random.id(kRandomIdLength); });
  };
  content.id = pipeline.id ? *pipeline.id : random_id();
  RETURN_IF_ERROR(prepare(content));
  auto created = catalog_.create_pipeline(content);
  for (int i = 1; i < kIdTries && !pipeline.id && !created && created.error().code == ErrorCode::AlreadyExists; ++i) {
    content.id = random_id();
    created = catalog_.create_pipeline(content);
  }
  return created;
}

Result<PipelineVersion> Pipelines::put(const std::string& id, const PipelineChange& change,
                                       std::optional<Version> if_match) {
  for (int i = 0; i < kPutTries; ++i) {
    ASSIGN_OR_RETURN(const PipelineVersion base, catalog_.pipeline(id, std::nullopt));
    PipelineVersion next = merged(base, change);
    RETURN_IF_ERROR(prepare(next));
    if (if_match && *if_match != base.version)
      return fail(ErrorCode::PreconditionFailed,
                  fmt::format("The newest version of pipeline '{}' is {}, not {}; get it, make the change there, and "
                              "send it again.",
                              id, base.version, *if_match));
    auto stored = catalog_.put_pipeline(
        id, PipelineChange{next.name, next.steps_json, next.options_json, next.metadata_json}, base.version);
    const bool overtaken = !stored && stored.error().code == ErrorCode::PreconditionFailed;
    if (!overtaken || if_match) return stored;
  }
  return fail(ErrorCode::Unavailable,
              fmt::format("Pipeline '{}' is being changed by others all the time; send the request again.", id));
}

}  // namespace dhub::service
