// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/checkers.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/check.h"
#include "delivery/headers.h"
#include "pipeline/definition.h"
#include "tests/simulation/behaviour.h"

namespace dhub::simulation {
namespace {

constexpr std::size_t kOldCommits = 50;

bool is_charged(OutcomeKind kind) {
  return kind != OutcomeKind::Succeeded && kind != OutcomeKind::Filtered && kind != OutcomeKind::NotStarted;
}

bool is_elsewhere(const std::string& topic) {
  return topic.find('/') != std::string::npos;
}

bool is_dead_letter(const Message& message) {
  return std::any_of(message.headers.begin(), message.headers.end(),
                     [](const Header& header) { return header.name == delivery::kErrorHeader; });
}

std::string text_of(const Execution& e) {
  return fmt::format("{} v{} {} attempt {} at {}", e.pipeline_id, e.version, to_string(e.run), e.attempt, e.instance);
}

}  // namespace

void Checkers::violation(const std::string& what) {
  note("VIOLATION " + what);
  violations_.push_back(what);
}

void Checkers::note(const std::string& line) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(timeline_.now().mono.time_since_epoch());
  trace_.note(fmt::format("{} {}", us.count(), line));
}

SimPosition* Checkers::position_of(const std::string& pipeline_id, const std::string& topic) {
  const SimPipeline* pipeline = disk_->pipeline(pipeline_id);
  const SimTopic* found = disk_->topic(topic);
  return pipeline == nullptr || found == nullptr ? nullptr : disk_->position(pipeline->uid, found->topic.uid);
}

SimPosition* Checkers::position_of(const Execution& execution) {
  return position_of(execution.pipeline_id, execution.topic);
}

const Definition* Checkers::definition(const std::string& pipeline_id, Version version) {
  const SimPipeline* pipeline = disk_->pipeline(pipeline_id);
  if (pipeline == nullptr) return nullptr;
  const auto key = std::pair(pipeline->uid, version);
  if (const auto known = definitions_.find(key); known != definitions_.end()) return &known->second;
  const auto& stored = pipeline->versions[static_cast<std::size_t>(version.value - 1)];
  auto parsed = pipeline::parse_definition(stored.id, stored.name, stored.steps_json, stored.options_json);
  CHECK(parsed.has_value());
  return &definitions_.emplace(key, std::move(*parsed)).first->second;
}

std::int32_t Checkers::most_attempts(PipelineUid uid) {
  const SimPipeline* pipeline = disk_->pipeline(uid);
  std::int32_t most = 1;
  for (const auto& version : pipeline->versions)
    most = std::max(most, definition(pipeline->id, version.version)->options.retry.max_attempts);
  return most;
}

// ---- instances ----

void Checkers::instance_started(InstanceId instance, const InstanceSpec& spec) {
  note(fmt::format("start {} of {} v{}", instance, spec.pipeline_id, spec.version));
  alive_[instance] = {spec.pipeline_id, spec.version};
  const Scaling& scaling = definition(spec.pipeline_id, spec.version)->options.scaling;
  const auto most = scaling.max_instances == 0 ? std::max(cores_, scaling.min_instances) : scaling.max_instances;
  if (alive(spec.pipeline_id) > static_cast<std::size_t>(most))
    violation(fmt::format("{} has {} instances, at most {}", spec.pipeline_id, alive(spec.pipeline_id), most));
}

void Checkers::instance_gone(InstanceId instance, EndReason reason) {
  note(fmt::format("gone {} {}", instance, to_string(reason)));
  if (reason == EndReason::Killed || reason == EndReason::HostLost) ++losses_;
  alive_.erase(instance);
}

std::size_t Checkers::alive(const std::string& pipeline_id) const {
  return static_cast<std::size_t>(
      std::count_if(alive_.begin(), alive_.end(), [&](const auto& a) { return a.second.first == pipeline_id; }));
}

void Checkers::check_gone(const std::string& pipeline_id) {
  if (alive(pipeline_id) > 0) violation("I10: instances outlive the trigger of " + pipeline_id);
}

// ---- the journal ----

void Checkers::loaded(PositionUid uid, OwnerEpoch epoch) {
  note(fmt::format("load {} epoch {}", uid, epoch));
  Watched& watched = watched_[uid];
  watched.ended_well.clear();
  watched.refused_since.reset();
  ++loads_[uid];
  ++losses_;
  for (const auto& [id, part] : disk_->positions[uid].parts)
    watched.furthest[id] = std::max(watched.furthest[id], Offset{part.cursor});
  if (!watched.running.empty()) violation(fmt::format("position {} is loaded while its events run", uid));
  if (const SimPipeline* pipeline = disk_->pipeline(disk_->positions[uid].pipeline))
    if (alive(pipeline->id) > 0)
      violation("I10: a trigger begins while instances of the last one live: " + pipeline->id);
}

void Checkers::sought(PositionUid uid, Pass pass) {
  note(fmt::format("seek {} pass {}", uid, pass));
  watched_[uid].charged.clear();
  watched_[uid].failures.clear();
}

void Checkers::commit_applied(const JournalCommit& commit) {
  note(fmt::format("commit {} epoch {} seq {} finished {} failures {}", commit.position, commit.owner_epoch, commit.seq,
                   commit.finished.size(), commit.failures.size()));
  const SimPosition& position = disk_->positions[commit.position];
  if (commit.owner_epoch.value != position.epoch || commit.pass.value != position.pass)
    violation("I9: a stale owner has committed");
  check_finished(commit, position);
  check_charges(commit, position);
  for (const auto& moved : commit.partitions) {
    Offset& furthest = watched_[commit.position].furthest[moved.partition];
    furthest = std::max(furthest, moved.cursor);
  }
  for (const auto& publication : commit.publications)
    if (is_elsewhere(publication.topic))
      posted_.emplace_back(publication.topic, publication.message.value.value_or(""));
  old_commits_.push_back(commit);
  if (old_commits_.size() > kOldCommits) old_commits_.erase(old_commits_.begin());
}

void Checkers::check_finished(const JournalCommit& commit, const SimPosition& position) {
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  for (const auto& range : commit.finished) {
    stored_[{position.pipeline, range.state}] += range.count;
    for (std::int64_t o = range.first.value; o < range.first.value + range.count; ++o)
      if (const auto fault = fault_of(position, {range.partition, o}, range.state); !fault.empty())
        violation(fmt::format("{}: {} {}/{} is stored as {}", fault, pipeline->id, range.partition, o,
                              to_string(range.state)));
  }
}

std::string Checkers::fault_of(const SimPosition& position, const Place& place, FinalState state) {
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  const bool has_steps = !definition(pipeline->id, pipeline->trigger->version)->steps.empty();
  const Watched& watched = watched_.at(position.uid);
  const SimPartition& source = disk_->topics[position.topic].partitions[static_cast<std::size_t>(place.first.value)];
  switch (state) {
    case FinalState::Succeeded:
    case FinalState::Filtered:
      return has_steps && !watched.ended_well.contains(place) ? "I1: nobody ran it" : "";
    case FinalState::DeadLettered:
      return has_steps && !watched.failures.contains(place) ? "I6: it never failed" : "";
    case FinalState::Expired:
      if (watched.charged.contains(place)) return "I1: its bytes are in the journal";
      return place.second >= source.start ? "I1: it is in the log" : "";
    case FinalState::Absent:
      return source.holes.contains(place.second) ? "" : "I1: it was published";
    default:
      return "I1: only a seek may do so";
  }
}

// Nobody is charged for what others did, and each failure once at most.
void Checkers::check_charges(const JournalCommit& commit, const SimPosition& position) {
  Watched& watched = watched_[commit.position];
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  const std::int32_t most = most_attempts(position.pipeline);
  for (const auto& failure : commit.failures) {
    const Place place{failure.partition, failure.offset.value};
    std::int32_t& charged = watched.charged[place];
    if (failure.charged != charged + 1 || failure.charged > most)
      violation(fmt::format("I6: {} offset {} is charged {} after {}", pipeline->id, failure.offset, failure.charged,
                            charged));
    if (failure.charged > watched.failures[place])
      violation(fmt::format("I6: {} offset {} is charged {}, has failed {} times", pipeline->id, failure.offset,
                            failure.charged, watched.failures[place]));
    charged = failure.charged;
  }
  for (const auto& letter : commit.dead_letters) {
    if (letter.attempts > most) violation(fmt::format("I6: dead letter after {} attempts", letter.attempts));
  }
}

void Checkers::commit_answered(PositionUid position, OwnerEpoch epoch, bool stored) {
  if (epoch.value != disk_->positions[position].epoch) return;
  auto& since = watched_[position].refused_since;
  if (stored)
    since.reset();
  else if (!since)
    since = timeline_.now().mono;
}

std::optional<Instant> Checkers::refused_since(PositionUid position) const {
  const auto found = watched_.find(position);
  return found == watched_.end() ? std::nullopt : found->second.refused_since;
}

std::int64_t Checkers::stored_in_this_life(PipelineUid pipeline, FinalState state) const {
  const auto found = stored_.find({pipeline, state});
  return found == stored_.end() ? 0 : found->second;
}

void Checkers::noted(TopicUid topic, const std::string& group, const StartOffset& cursor) {
  const SimPipeline* pipeline = disk_->pipeline(group.substr(std::string_view("dhub.").size()));
  const SimPosition* position = pipeline == nullptr ? nullptr : disk_->position(pipeline->uid, topic);
  if (position == nullptr) return violation("a group of no position is told: " + group);
  const auto part = position->parts.find(cursor.partition);
  const Offset furthest = watched_[position->uid].furthest[cursor.partition];
  if (part == position->parts.end() || cursor.offset.value > std::max(part->second.cursor, furthest.value))
    violation(fmt::format("I4: {} is told {}, beyond the cursor", group, cursor.offset));
}

// ---- user code ----

void Checkers::delivered(InstanceId instance, const InstanceSpec& spec, const Delivery& delivery) {
  note(fmt::format("deliver {} to {}", to_string(delivery.run), instance));
  const SimPipeline* pipeline = disk_->pipeline(spec.pipeline_id);
  if (pipeline == nullptr || !pipeline->trigger) return violation("an event was delivered for no trigger");
  if (pipeline->changed_at == timeline_.now().mono) return;
  if (pipeline->trigger->desired != DesiredState::Running)
    violation(fmt::format("{}: delivered though it is not to run", spec.pipeline_id));
  if (pipeline->trigger->version != spec.version)
    violation(fmt::format("{}: delivered to version {} after version {} was started", spec.pipeline_id, spec.version,
                          pipeline->trigger->version));
}

void Checkers::begun(const Execution& execution) {
  note("begin " + text_of(execution));
  ++executions_;
  begun_[execution.pipeline_id].push_back(execution.run.offset.value);
  SimPosition* position = position_of(execution);
  if (position == nullptr) return violation("an event of no position runs: " + text_of(execution));
  Watched& watched = watched_[position->uid];
  const Place place{execution.run.partition, execution.run.offset.value};
  const auto& part = position->parts[execution.run.partition];
  const auto& records = disk_->topic(execution.topic)->partitions[static_cast<std::size_t>(place.first.value)].records;
  if (place.second >= static_cast<std::int64_t>(records.size()))
    return violation("I2: ran what was never published: " + text_of(execution));
  const auto& record = records[static_cast<std::size_t>(place.second)];
  if (record && (record->key != execution.key || record->value.value_or("") != execution.value))
    violation("I2: ran something else than was published: " + text_of(execution));
  if (watched.running.contains(place)) violation("I3: runs twice at once: " + text_of(execution));
  auto& last = watched.last_delivery[place];
  if (execution.delivery.value <= last) violation("I5: the delivery number does not rise: " + text_of(execution));
  last = execution.delivery.value;
  if (execution.run.pass.value == position->pass) {
    if (part.states.contains(place.second)) violation("I5: runs again after it was final: " + text_of(execution));
    if (place.second >= part.dispatched_through) violation("I5: nothing was reserved for it: " + text_of(execution));
    if (watched.ended_well.contains(place)) violation("I5: runs again though its end was told: " + text_of(execution));
    const auto charged = watched.charged.find(place);
    if (execution.attempt != (charged == watched.charged.end() ? 0 : charged->second) + 1)
      violation("I6: what it was charged is not stored: " + text_of(execution));
    check_order(execution, *position, part);
  }
  watched.running[place] = execution;
}

void Checkers::check_order(const Execution& execution, const SimPosition& position, const SimPosition::Part& part) {
  const Ordering ordering = definition(execution.pipeline_id, execution.version)->options.ordering;
  if (ordering == Ordering::None || (ordering == Ordering::Key && !execution.key)) return;
  const Watched& watched = watched_[position.uid];
  const auto same = [&](const std::optional<std::string>& key) {
    return ordering == Ordering::Partition || key == execution.key;
  };
  for (const auto& [place, other] : watched.running)
    if (place.first == execution.run.partition && same(other.key))
      violation("I3: overlaps with " + to_string(other.run) + ": " + text_of(execution));
  const auto& records =
      disk_->topic(execution.topic)->partitions[static_cast<std::size_t>(execution.run.partition.value)].records;
  for (std::int64_t o = part.cursor; o < execution.run.offset.value; ++o) {
    const auto& record = records[static_cast<std::size_t>(o)];
    const bool ended = part.states.contains(o) || watched.ended_well.contains({execution.run.partition, o});
    if (record && same(record->key) && !ended)
      violation(fmt::format("I3: begins before {} has ended: {}", o, text_of(execution)));
  }
}

void Checkers::finished(const Execution& execution, OutcomeKind kind) {
  note(fmt::format("finish {} {}", to_string(execution.run), to_string(kind)));
  SimPosition* position = position_of(execution);
  if (position == nullptr) return;
  Watched& watched = watched_[position->uid];
  const Place place{execution.run.partition, execution.run.offset.value};
  watched.running.erase(place);
  if (execution.run.pass.value != position->pass) return;
  if (!is_charged(kind)) {
    watched.ended_well[place] = execution.delivery;
  } else if (++watched.failures[place] > most_attempts(position->pipeline) + losses_) {
    violation(fmt::format("I6: has failed {} times: {}", watched.failures[place], text_of(execution)));
  }
}

void Checkers::cut_short(const Execution& execution) {
  note("cut " + to_string(execution.run));
  if (SimPosition* position = position_of(execution))
    watched_[position->uid].running.erase({execution.run.partition, execution.run.offset.value});
}

void Checkers::outcome_lost(const std::string& pipeline_id, DeliveryId delivery) {
  const SimPipeline* pipeline = disk_->pipeline(pipeline_id);
  for (auto& [uid, watched] : watched_)
    if (pipeline != nullptr && disk_->positions[uid].pipeline == pipeline->uid)
      std::erase_if(watched.ended_well, [&](const auto& ended) { return ended.second == delivery; });
}

void Checkers::server_killed() {
  note("server killed");
  alive_.clear();
  for (auto& [uid, watched] : watched_) watched.running.clear();
}

std::vector<std::int64_t> Checkers::begun_offsets(const std::string& pipeline_id) const {
  const auto found = begun_.find(pipeline_id);
  return found == begun_.end() ? std::vector<std::int64_t>{} : found->second;
}

// ---- in the end ----

void Checkers::check_converged() {
  for (const auto& [uid, pipeline] : disk_->pipelines) {
    if (pipeline.deleted || !pipeline.trigger || pipeline.trigger->desired != DesiredState::Running) continue;
    check_position(disk_->positions[pipeline.trigger->position]);
  }
  for (const auto& [uid, position] : disk_->positions)
    if (disk_->pipeline(position.pipeline) != nullptr) {
      check_outputs(position);
      check_dead_letters(position);
    }
}

// Whatever is given up is kept, and what is kept was given up: in this pass or in one before it.
void Checkers::check_dead_letters(const SimPosition& position) {
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  std::map<std::pair<std::int32_t, Place>, int> letters;
  for (const auto& letter : pipeline->dead_letters)
    if (letter.position == position.uid)
      ++letters[{letter.run.pass.value, {letter.run.partition, letter.run.offset.value}}];
  for (const auto& [run, count] : letters)
    if (count > 1) violation(fmt::format("I1: {} has {} dead letters of {}", pipeline->id, count, run.second.second));
  for (const auto& [id, part] : position.parts)
    for (const auto& [offset, state] : part.states) {
      bool found = state != FinalState::DeadLettered;
      for (std::int32_t pass = 1; pass <= position.pass; ++pass) found |= letters.contains({pass, {id, offset}});
      if (!found) violation(fmt::format("I1: {} {}/{} has no dead letter", pipeline->id, id, offset));
    }
}

void Checkers::check_position(const SimPosition& position) {
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  const SimTopic* topic = disk_->topic(position.topic);
  for (const auto& [id, part] : position.parts) {
    const std::int64_t end = topic->partitions[static_cast<std::size_t>(id.value)].end();
    for (std::int64_t o = part.first; o < end; ++o)
      if (!part.states.contains(o)) violation(fmt::format("I7: {} {}/{} has not ended", pipeline->id, id, o));
    if (part.cursor != end)
      violation(fmt::format("I7: the cursor of {} {} is at {} of {}", pipeline->id, id, part.cursor, end));
  }
}

// What a run published is there once for each run that was stored.
void Checkers::check_outputs(const SimPosition& position) {
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  const std::string origin = fmt::format("from {} ", pipeline->id);
  std::map<std::string, int> outputs;
  for (const auto& [uid, topic] : disk_->topics)
    for (const auto& partition : topic.partitions)
      for (const auto& record : partition.records)
        if (record && !is_dead_letter(*record) && record->value.value_or("").starts_with(origin))
          ++outputs[topic.topic.name + " " + *record->value];
  for (const auto& [topic, value] : posted_)
    if (value.starts_with(origin)) ++outputs[topic + " " + value];
  for (const auto& [id, part] : position.parts)
    for (const auto& [offset, state] : part.states) check_output_of(position, {id, offset}, state, outputs);
  for (const auto& [output, count] : outputs)
    if (count > 1) violation(fmt::format("I1: published {} times: {}", count, output));
}

// Of one event that is stored as succeeded, in whichever pass that was.
void Checkers::check_output_of(const SimPosition& position, const Place& place, FinalState state,
                               const std::map<std::string, int>& outputs) {
  const auto& source = disk_->topics[position.topic].partitions[static_cast<std::size_t>(place.first.value)].records;
  const auto& record = source[static_cast<std::size_t>(place.second)];
  if (state != FinalState::Succeeded || !record) return;
  const SimPipeline* pipeline = disk_->pipeline(position.pipeline);
  for (const auto& topic : behaviour_of(record->value.value_or(""), 1).publishes_to) {
    bool found = false;
    for (std::int32_t pass = 1; pass <= position.pass; ++pass)
      found |= outputs.contains(fmt::format("{} from {} {}", topic, pipeline->id,
                                            to_string(RunId{Pass{pass}, place.first, Offset{place.second}})));
    if (!found) violation(fmt::format("I1: nothing was published by {} {}", pipeline->id, place.second));
  }
}

}  // namespace dhub::simulation
