// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_catalog.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>
#include <utility>

namespace dhub::simulation {
namespace {

tl::unexpected<Error> no_pipeline(const std::string& id) {
  return fail(ErrorCode::NotFound, fmt::format("There is no pipeline '{}'.", id));
}

Status check_offsets(const std::vector<PartitionRange>& ranges, const std::vector<StartOffset>& offsets) {
  for (const auto& [partition, offset] : offsets) {
    const bool known = partition.value >= 0 && static_cast<std::size_t>(partition.value) < ranges.size();
    if (!known || offset.value < 0 || offset > ranges[static_cast<std::size_t>(partition.value)].end)
      return fail(ErrorCode::InvalidArgument, fmt::format("There is no start at {} of {}.", offset, partition));
  }
  return {};
}

void add_partitions(SimPosition& position, const std::vector<PartitionRange>& ranges,
                    const std::vector<StartOffset>& initial) {
  for (const auto& range : ranges) {
    SimPosition::Part part;
    part.first = range.start.value;
    for (const auto& start : initial)
      if (start.partition == range.partition) part.first = start.offset.value;
    part.cursor = part.dispatched_through = part.first;
    position.parts.try_emplace(range.partition, part);
  }
}

// A new pass: what is unfinished below the target is skipped, what is final from there on is taken back.
void seek(SimPosition& position, const std::vector<PartitionRange>& ranges, const std::vector<StartOffset>& targets) {
  ++position.pass;
  for (const auto& target : targets) {
    auto& part = position.parts[target.partition];
    const std::int64_t to = target.offset.value;
    for (std::int64_t offset = part.cursor; offset < to; ++offset) part.states.emplace(offset, FinalState::Skipped);
    part.states.erase(part.states.lower_bound(to), part.states.end());
    const std::int64_t log_start = ranges[static_cast<std::size_t>(target.partition.value)].start.value;
    std::erase_if(part.failures, [&](const auto& row) { return row.first < to || row.first >= log_start; });
    for (auto& [offset, row] : part.failures) {
      row.charged = 0;
      row.retry_at = {};
      row.step = 0;
      row.results.clear();
    }
    part.first = std::min(part.first, to);
    part.cursor = to;
    part.dispatched_through = std::max(part.dispatched_through, to);
  }
  position.counts = {};
  for (const auto& [id, part] : position.parts)
    for (const auto& [offset, state] : part.states) ++count_of(position.counts, state);
}

}  // namespace

Result<PipelineVersion> SimCatalog::create_pipeline(const PipelineVersion& content) {
  RETURN_IF_ERROR(validate_pipeline_id(content.id));
  disk_.settle();
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  if (disk_.pipeline(content.id) != nullptr)
    return fail(ErrorCode::AlreadyExists, fmt::format("Pipeline '{}' exists already.", content.id));
  const PipelineUid uid{disk_.next_uid()};
  SimPipeline& made = disk_.pipelines[uid];
  made.uid = uid;
  made.id = content.id;
  made.versions.push_back(content);
  made.versions.back().uid = uid;
  made.versions.back().version = Version{1};
  made.versions.back().created_at = disk_.now().wall;
  return made.versions.back();
}

Result<PipelineVersion> SimCatalog::pipeline(const std::string& id, std::optional<Version> version) const {
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  const SimPipeline* found = disk_.pipeline(id);
  if (found == nullptr) return no_pipeline(id);
  if (!version) return found->versions.back();
  return pipeline(found->uid, *version);
}

Result<PipelineVersion> SimCatalog::pipeline(PipelineUid uid, Version version) const {
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  const SimPipeline* found = disk_.pipeline(uid);
  if (found == nullptr) return no_pipeline(fmt::format("#{}", uid));
  if (version.value < 1 || static_cast<std::size_t>(version.value) > found->versions.size())
    return fail(ErrorCode::NotFound, fmt::format("There is no version {} of pipeline '{}'.", version, found->id));
  return found->versions[static_cast<std::size_t>(version.value - 1)];
}

Result<std::vector<PipelineVersion>> SimCatalog::pipelines(const std::string& after, std::size_t limit) const {
  std::map<std::string, const SimPipeline*> by_id;
  for (const auto& [uid, pipeline] : disk_.pipelines)
    if (!pipeline.deleted && pipeline.id > after) by_id[pipeline.id] = &pipeline;
  std::vector<PipelineVersion> answer;
  for (const auto& [id, pipeline] : by_id)
    if (answer.size() < limit) answer.push_back(pipeline->versions.back());
  return answer;
}

Result<std::vector<PipelineVersion>> SimCatalog::versions(const std::string& id, std::int32_t before,
                                                          std::size_t limit) const {
  const SimPipeline* found = disk_.pipeline(id);
  if (found == nullptr) return no_pipeline(id);
  std::vector<PipelineVersion> answer;
  for (auto it = found->versions.rbegin(); it != found->versions.rend() && answer.size() < limit; ++it)
    if (before == 0 || it->version.value < before) answer.push_back(*it);
  return answer;
}

Result<PipelineVersion> SimCatalog::put_pipeline(const std::string& id, const PipelineChange& change,
                                                 std::optional<Version> if_match) {
  disk_.settle();
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  SimPipeline* found = disk_.pipeline(id);
  if (found == nullptr) return no_pipeline(id);
  const PipelineVersion newest = found->versions.back();
  if (if_match && *if_match != newest.version)
    return fail(ErrorCode::PreconditionFailed, fmt::format("Pipeline '{}' is at version {}.", id, newest.version));
  PipelineVersion next = newest;
  next.name = change.name.value_or(next.name);
  next.steps_json = change.steps_json.value_or(next.steps_json);
  next.options_json = change.options_json.value_or(next.options_json);
  next.metadata_json = change.metadata_json.value_or(next.metadata_json);
  const auto content = [](const PipelineVersion& v) {
    return std::tie(v.name, v.steps_json, v.options_json, v.metadata_json);
  };
  if (content(next) == content(newest)) return newest;
  ++next.version.value;
  next.created_at = disk_.now().wall;
  found->versions.push_back(next);
  return next;
}

Status SimCatalog::delete_pipeline(const std::string& id, bool discard_dead_letters, std::optional<Version> if_match) {
  disk_.settle();
  SimPipeline* found = disk_.pipeline(id);
  if (found == nullptr) return no_pipeline(id);
  if (if_match && *if_match != found->versions.back().version)
    return fail(ErrorCode::PreconditionFailed, fmt::format("Pipeline '{}' has another version.", id));
  if (found->trigger && found->trigger->desired != DesiredState::Stopped)
    return fail(ErrorCode::Conflict, fmt::format("The trigger of pipeline '{}' is not stopped.", id));
  if (!found->dead_letters.empty() && !discard_dead_letters)
    return fail(ErrorCode::Conflict, fmt::format("Pipeline '{}' has dead letters.", id));
  found->deleted = true;
  return {};
}

Result<Topic> SimCatalog::topic_of(const StartTrigger& request) {
  if (request.elsewhere && disk_.foreign_topics.contains(request.topic)) return *request.elsewhere;
  const SimTopic* topic = request.elsewhere ? nullptr : disk_.topic(request.topic);
  if (topic == nullptr) return fail(ErrorCode::NotFound, fmt::format("There is no topic #{}.", request.topic));
  Topic answer = topic->topic;
  for (const auto& partition : topic->partitions)
    answer.partitions.push_back({PartitionId{static_cast<std::int32_t>(answer.partitions.size())},
                                 Offset{partition.start}, Offset{partition.end()}, 0});
  return answer;
}

void SimCatalog::start_trigger(StartTrigger request, Answer<StartedTrigger> done) {
  disk_.call<StartedTrigger>([this, request = std::move(request)] { return start_now(request); }, std::move(done),
                             SimDisk::Order::Command);
}

Result<StartedTrigger> SimCatalog::start_now(const StartTrigger& request) {
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  SimPipeline* pipeline = disk_.pipeline(request.pipeline);
  if (pipeline == nullptr) return no_pipeline(fmt::format("#{}", request.pipeline));
  RETURN_IF_ERROR(this->pipeline(request.pipeline, request.version));
  ASSIGN_OR_RETURN(const Topic topic, topic_of(request));
  RETURN_IF_ERROR(check_offsets(topic.partitions, request.initial));
  RETURN_IF_ERROR(check_offsets(topic.partitions, request.seek_to));
  SimPosition* position = disk_.position(request.pipeline, request.topic);
  StartedTrigger started;
  started.resumed = position != nullptr;
  if (position == nullptr) {
    const PositionUid uid{disk_.next_uid()};
    position = &disk_.positions[uid];
    position->uid = uid;
    position->pipeline = request.pipeline;
    position->topic = request.topic;
  }
  add_partitions(*position, topic.partitions, request.initial);
  if (!request.seek_to.empty() && started.resumed) {
    seek(*position, topic.partitions, request.seek_to);
    disk_.observer().sought(position->uid, Pass{position->pass});
  }
  Trigger trigger;
  trigger.pipeline = request.pipeline;
  trigger.pipeline_id = pipeline->id;
  trigger.generation = Generation{pipeline->trigger ? pipeline->trigger->generation.value + 1 : 1};
  trigger.revision = Revision{pipeline->trigger ? pipeline->trigger->revision.value + 1 : 1};
  trigger.version = request.version;
  trigger.topic = request.topic;
  trigger.topic_name = topic.name;
  trigger.position = position->uid;
  trigger.desired = DesiredState::Running;
  trigger.started_at = disk_.now().wall;
  pipeline->trigger = trigger;
  pipeline->changed_at = disk_.now().mono;
  started.trigger = trigger;
  for (const auto& [id, part] : position->parts) started.cursors.push_back({id, Offset{part.cursor}});
  return started;
}

void SimCatalog::set_desired(PipelineUid uid, DesiredState desired, Answer<Trigger> done) {
  disk_.call<Trigger>([this, uid, desired] { return set_desired_now(uid, desired); }, std::move(done),
                      SimDisk::Order::Command);
}

void SimCatalog::ask_triggers(Answer<std::vector<Trigger>> done) {
  disk_.call<std::vector<Trigger>>([this] { return triggers(); }, std::move(done), SimDisk::Order::Command);
}

void SimCatalog::ask_pipeline(PipelineUid uid, Version version, Answer<PipelineVersion> done) {
  disk_.call<PipelineVersion>([this, uid, version] { return pipeline(uid, version); }, std::move(done),
                              SimDisk::Order::Command);
}

Result<Trigger> SimCatalog::set_desired_now(PipelineUid uid, DesiredState desired) {
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  SimPipeline* found = disk_.pipeline(uid);
  if (found == nullptr || !found->trigger) return fail(ErrorCode::NotFound, "It never had a trigger.");
  if (found->trigger->desired == DesiredState::Stopped && desired != DesiredState::Stopped)
    return fail(ErrorCode::Conflict,
                fmt::format("The trigger of pipeline '{}' is stopped; start it first.", found->id));
  found->trigger->desired = desired;
  ++found->trigger->revision.value;
  found->changed_at = disk_.now().mono;
  return *found->trigger;
}

Result<Trigger> SimCatalog::trigger(PipelineUid uid) const {
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  const SimPipeline* found = disk_.pipeline(uid);
  if (found == nullptr || !found->trigger) return fail(ErrorCode::NotFound, "It never had a trigger.");
  return *found->trigger;
}

Result<std::vector<Trigger>> SimCatalog::triggers() const {
  if (disk_.faults.refuse_catalog) return fail(*disk_.faults.refuse_catalog);
  std::map<std::string, Trigger> by_id;
  for (const auto& [uid, pipeline] : disk_.pipelines)
    if (!pipeline.deleted && pipeline.trigger) by_id[pipeline.id] = *pipeline.trigger;
  std::vector<Trigger> answer;
  for (auto& [id, trigger] : by_id) answer.push_back(std::move(trigger));
  return answer;
}

Result<std::vector<StartOffset>> SimCatalog::cursors(PipelineUid pipeline, TopicUid topic) const {
  std::vector<StartOffset> answer;
  if (const SimPosition* position = disk_.position(pipeline, topic))
    for (const auto& [id, part] : position->parts) answer.push_back({id, Offset{part.cursor}});
  return answer;
}

}  // namespace dhub::simulation
