// SPDX-License-Identifier: Apache-2.0
// What users ask of triggers: looked up on their thread, written, and then made so.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "pipeline/definition.h"
#include "service/settings_of.h"
#include "service/supervisor.h"

namespace dhub::service {
namespace {

std::int64_t backlog_of(const std::vector<StartOffset>& cursors, const Topic& topic) {
  std::int64_t backlog = 0;
  for (const auto& range : topic.partitions)
    for (const auto& cursor : cursors)
      if (cursor.partition == range.partition)
        backlog += std::max<std::int64_t>(range.end.value - std::max(cursor.offset, range.start).value, 0);
  return backlog;
}

// Where a partition is in both, the offset of `given` counts.
void set_offsets(std::vector<StartOffset>& offsets, const std::vector<StartOffset>& given) {
  for (const auto& [partition, offset] : given)
    for (auto& known : offsets)
      if (known.partition == partition) known.offset = offset;
}

Status check_offsets(const std::vector<StartOffset>& offsets, const Topic& topic) {
  for (const auto& [partition, offset] : offsets) {
    const PartitionRange* range = find_range(topic, partition);
    if (range == nullptr)
      return fail(ErrorCode::InvalidArgument, fmt::format("Topic '{}' has no partition {}; it has {}, from 0 on.",
                                                          topic.name, partition, topic.partitions.size()));
    if (offset > range->end)
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("Partition {} of topic '{}' ends at {}, so nothing can begin at {}.", partition,
                              topic.name, range->end, offset));
  }
  return {};
}

// Kafka forgets a topic's offsets with the topic, but not at once, and not every tool asks it to.
Status check_adopted(const std::vector<StartOffset>& offsets, const Topic& topic, const std::string& group) {
  for (const auto& [partition, offset] : offsets) {
    const PartitionRange* range = find_range(topic, partition);
    if (range == nullptr || offset > range->end)
      return fail(
          ErrorCode::Conflict,
          fmt::format("Group '{}' stands at {} in partition {} of topic '{}', which ends at {}: its offsets are "
                      "those of an earlier topic of that name, or of a transaction that is still open. Start "
                      "with from=earliest, from=latest, or offsets such as from={}:{}.",
                      group, offset, partition, topic.name, range == nullptr ? Offset{0} : range->end, partition,
                      range == nullptr ? Offset{0} : range->start));
  }
  return {};
}

bool seeks(const StartCommand& command) {
  return command.from == StartFrom::Latest || command.from == StartFrom::Earliest || !command.offsets.empty();
}

}  // namespace

template <typename Row, typename T, typename F>
Answer<Row> Supervisor::written(Done<T> done, F then) {
  auto waiting = std::make_shared<Waiting<T>>();  // shared: by the deadline and the answer
  waiting->done = std::move(done);
  waiting->deadline = after(options_.longest_write, [waiting] {
    const auto late = std::exchange(waiting->done, [](const Result<T>&) {});
    late(fail(ErrorCode::OutcomeUnknown,
              "The store has not answered in time, so it is not known whether this was done. Send it again; repeating "
              "is safe."));
  });
  return leash_.answer<Row>([this, waiting, then = std::move(then)](Result<Row> row) {
    world_.scheduler.cancel(waiting->deadline);
    then(std::move(row), waiting->done);
  });
}

// ---- starting ----

void Supervisor::start(StartCommand command, Done<Started> done) {
  auto plan = plan_start(std::move(command));
  if (!plan) return done(fail(std::move(plan.error())));
  // Shared: a task must be copyable, and a plan is large.
  leash_.post(
      [this, plan = std::make_shared<StartPlan>(std::move(*plan)), done = std::move(done)] { start_now(plan, done); });
}

// On the caller's thread: a broker that is down may let it wait for seconds.
Result<Supervisor::StartPlan> Supervisor::plan_start(StartCommand command) const {
  StartPlan plan;
  ASSIGN_OR_RETURN(plan.version, catalog_.pipeline(command.pipeline_id, command.version));
  const PipelineVersion& version = plan.version;
  ASSIGN_OR_RETURN(plan.definition,
                   pipeline::parse_definition(version.id, version.name, version.steps_json, version.options_json));
  if (!plan.definition.options.event)
    return fail(
        ErrorCode::EventOptionMissing,
        fmt::format("Pipeline '{}' (version {}) has no event option. Put the topic to listen on into its options, "
                    "such as {{\"options\": {{\"event\": \"my-topic\"}}}}, and start it again.",
                    version.id, version.version));
  ASSIGN_OR_RETURN(plan.topic, world_.event_log.ensure_topic(*plan.definition.options.event));
  plan.command = std::move(command);
  ASSIGN_OR_RETURN(plan.cursors, catalog_.cursors(version.uid, plan.topic.uid));
  RETURN_IF_ERROR(adopt_group(plan));
  RETURN_IF_ERROR(check_offsets(plan.command.offsets, plan.topic));
  return plan;
}

// People come over from a consumer of theirs: where it stood the trigger begins, once. A position of the trigger's own
// is newer, so a start that is repeated takes nothing back.
Status Supervisor::adopt_group(StartPlan& plan) const {
  const std::string& group = plan.command.group;
  if (group.empty() || !plan.cursors.empty()) return {};
  ASSIGN_OR_RETURN(plan.adopted, world_.event_log.group_offsets(plan.topic.uid, group));
  if (plan.adopted.empty())
    return fail(ErrorCode::NotFound,
                fmt::format("Group '{}' has committed no offset of topic '{}', so there is nothing to go on from. Is "
                            "the name right? Else start with from=earliest or from=latest.",
                            group, plan.topic.name));
  // Looked at again: since the first look messages and partitions may have come that the group knows.
  ASSIGN_OR_RETURN(plan.topic, world_.event_log.ensure_topic(*plan.definition.options.event));
  return check_adopted(plan.adopted, plan.topic, group);
}

// What min_instances ask for is promised with the start, so it must be there beside what others were promised.
Status Supervisor::check_room(const StartPlan& plan) const {
  std::map<PipelineUid, Claim> others = starting_;
  for (const auto& [pipeline, place] : places_)
    if (place.definition && is_wanted(place)) others.emplace(pipeline, claim_of(*place.definition, options_.cores));
  others.erase(plan.version.uid);
  std::vector<Claim> claims;
  for (const auto& [pipeline, claim] : others) claims.push_back(claim);
  auto room = slots_.check(claim_of(plan.definition, options_.cores), claims);
  if (!room)
    room.error().message =
        fmt::format("The trigger of pipeline '{}' cannot be started. {}", plan.version.id, room.error().message);
  return room;
}

// PostDurableFirst: generation, version and start offsets are stored in one transaction before anything hears of them.
void Supervisor::start_now(const std::shared_ptr<StartPlan>& plan, const Done<Started>& done) {
  if (shutting_down_) return done(fail(ErrorCode::Cancelled, "The server is stopping; try again when it is back."));
  if (auto room = check_room(*plan); !room) return done(fail(std::move(room.error())));
  starting_[plan->version.uid] = claim_of(plan->definition, options_.cores);
  catalog_.start_trigger(
      start_request(*plan),
      written<StartedTrigger>(done, [this, plan](const Result<StartedTrigger>& stored, const Done<Started>& told) {
        starting_.erase(plan->version.uid);
        if (!stored) return told(fail(stored.error()));
        started(*plan, *stored, told);
      }));
}

// The ends are a little older than the write, so nothing that is published after the answer lies before them.
StartTrigger Supervisor::start_request(const StartPlan& plan) {
  const Topic& topic = plan.topic;
  const StartCommand& command = plan.command;
  StartTrigger request;
  request.pipeline = plan.version.uid;
  request.version = plan.version.version;
  request.topic = topic.uid;
  if (!topic.cluster.empty()) request.elsewhere = topic;
  bool from_start = command.from == StartFrom::Earliest;
  // Of a partition that the position, or the group, does not know nothing has been executed.
  if (!seeks(command)) from_start = !plan.cursors.empty() || !plan.adopted.empty();
  for (const auto& range : topic.partitions)
    request.initial.push_back({range.partition, from_start ? range.start : range.end});
  set_offsets(request.initial, command.offsets);
  set_offsets(request.initial, plan.adopted);
  if (!command.offsets.empty())
    request.seek_to = command.offsets;
  else if (seeks(command))
    request.seek_to = request.initial;
  return request;
}

void Supervisor::started(StartPlan& plan, const StartedTrigger& stored, const Done<Started>& done) {
  const Trigger& trigger = stored.trigger;
  Started answer{trigger, stored.resumed || !plan.adopted.empty(), backlog_of(stored.cursors, plan.topic)};
  if (!plan.command.group.empty()) answer.group = stored.resumed ? GroupUse::PassedOver : GroupUse::Adopted;
  logger_.info("trigger started", {{"pipeline", trigger.pipeline_id},
                                   {"version", fmt::format("{}", trigger.version)},
                                   {"generation", fmt::format("{}", trigger.generation)},
                                   {"topic", trigger.topic_name},
                                   {"backlog", fmt::format("{}", answer.backlog)}});
  Place& place = take(trigger);
  if (place.wanted.version == trigger.version) place.definition = std::move(plan.definition);
  if (seeks(plan.command)) place.begin_anew = true;
  forget_trouble(place);
  reconcile(trigger.pipeline);
  // In a server that is stopping, its place may be gone by now.
  const auto loading = places_.find(trigger.pipeline);
  if (loading == places_.end() || loading->second.stage != Stage::Loading) return done(std::move(answer));
  // It is durable. Whoever asks next should find it running, as far as that is a matter of moments.
  const auto tell = [told = std::make_shared<Done<Started>>(done), answer] {  // shared: by the two that may tell it
    if (*told) std::exchange(*told, nullptr)(answer);
  };
  loading->second.when_settled.emplace_back(tell);
  after(options_.longest_write, tell);
}

// ---- stopping ----

void Supervisor::stop(const std::string& pipeline_id, bool forget_position, Done<Nothing> done) {
  const auto uid = pipeline_uid(pipeline_id);
  if (!uid) return done(fail(uid.error()));
  if (forget_position)
    return done(fail(ErrorCode::Unsupported, "Forgetting the position is not served yet; delete without `position`."));
  leash_.post([this, uid = *uid, done = std::move(done)] {
    catalog_.set_desired(uid, DesiredState::Stopped,
                         written<Trigger>(done, [this](const Result<Trigger>& row, const Done<Nothing>& told) {
                           if (row) return stopped(*row, told);
                           if (row.error().code != ErrorCode::NotFound) return told(fail(row.error()));
                           told(Nothing{});  // it never was started
                         }));
  });
}

void Supervisor::stopped(const Trigger& row, const Done<Nothing>& done) {
  Place& place = take(row);
  if (place.current) logger_.info("trigger stopping", {{"pipeline", row.pipeline_id}});
  const bool rests = place.stage == Stage::Resting;
  if (!rests) place.when_resting.emplace_back([done] { done(Nothing{}); });
  reconcile(row.pipeline);
  if (rests) done(Nothing{});
}

void Supervisor::shutdown(Duration grace, std::function<void()> done) {
  leash_.post([this, grace, done = std::move(done)] { shut_down_now(grace, done); });
}

void Supervisor::shut_down_now(Duration grace, const std::function<void()>& done) {
  shutting_down_ = true;
  board_.close();
  auto left = std::make_shared<std::size_t>(1);  // shared: by the callbacks of all places
  const auto one_less = [left, done] {
    if (--*left == 0) done();
  };
  for (auto next = places_.begin(); next != places_.end();) {
    auto& [pipeline, place] = *next++;  // it may go
    if (place.stage != Stage::Resting) {
      ++*left;
      place.when_resting.emplace_back(one_less);
    }
    if (place.current) {
      place.stage = Stage::Stopping;
      place.current->stop(grace);
    }
    reconcile(pipeline);
  }
  one_less();
}

void Supervisor::pause(const std::string& pipeline_id, Done<Nothing> done) {
  set_desired(pipeline_id, DesiredState::Paused, std::move(done));
}

void Supervisor::resume(const std::string& pipeline_id, Done<Nothing> done) {
  set_desired(pipeline_id, DesiredState::Running, std::move(done));
}

void Supervisor::set_desired(const std::string& pipeline_id, DesiredState desired, Done<Nothing> done) {
  const auto uid = pipeline_uid(pipeline_id);
  if (!uid) return done(fail(uid.error()));
  leash_.post([this, uid = *uid, pipeline_id, desired, done = std::move(done)] {
    const auto then = [this, pipeline_id](const Result<Trigger>& row, const Done<Nothing>& told) {
      if (!row && row.error().code == ErrorCode::NotFound)
        return told(fail(ErrorCode::Conflict,
                         fmt::format("The trigger of pipeline '{}' is stopped; start it first.", pipeline_id)));
      if (!row) return told(fail(row.error()));
      take(*row);
      reconcile(row->pipeline);
      told(Nothing{});
    };
    catalog_.set_desired(uid, desired, written<Trigger>(done, then));
  });
}

Result<PipelineUid> Supervisor::pipeline_uid(const std::string& pipeline_id) const {
  ASSIGN_OR_RETURN(const PipelineVersion version, catalog_.pipeline(pipeline_id, std::nullopt));
  return version.uid;
}

}  // namespace dhub::service
