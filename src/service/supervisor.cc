// SPDX-License-Identifier: Apache-2.0
#include "service/supervisor.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "pipeline/definition.h"

namespace dhub::service {
namespace {

constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLongestRetry = std::chrono::seconds(30);
// Of what is not there at the moment, such as a broker: it is wanted back soon after it is there again.
constexpr Duration kLongestUnavailable = std::chrono::seconds(5);

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

}  // namespace

Supervisor::Supervisor(Scheduler& scheduler, Catalog& catalog, EventLog& event_log, Journal& journal,
                       RunArchive& run_archive, ComputeBackend& backend, Metrics& metrics, Logger& logger,
                       SupervisorOptions options)
    : catalog_(catalog),
      logger_(logger),
      options_(std::move(options)),
      world_{scheduler, event_log,     journal,        run_archive,   backend,         metrics,
             logger,    instance_ids_, options_.cores, options_.seed, options_.limits, options_.output_trouble},
      leash_(scheduler) {}

Supervisor::~Supervisor() = default;

Scheduler::TimerId Supervisor::after(Duration delay, std::function<void()> task) {
  return leash_.at(world_.scheduler.now().mono + delay, std::move(task));
}

// ---- recovering ----

void Supervisor::recover() {
  leash_.post([this] { recover_now(kFirstRetry); });
}

void Supervisor::recover_now(Duration retry_delay) {
  if (shutting_down_) return;
  bool again = false;
  const auto triggers = catalog_.triggers();
  if (!triggers) {
    logger_.error("triggers cannot be read, trying again", {{"error", triggers.error().message}});
    again = true;
  } else {
    for (const auto& trigger : *triggers) {
      if (trigger.desired == DesiredState::Stopped) continue;
      const auto place = places_.find(trigger.pipeline);
      if (place != places_.end() && (place->second.current || place->second.next)) continue;
      const auto brought = bring_back(trigger);
      if (!brought && retryable(brought.error().code)) again = true;
    }
  }
  if (again) after(retry_delay, [this, retry_delay] { recover_now(std::min(retry_delay * 2, kLongestRetry)); });
}

// Of a trigger that is meant to run and does not.
Status Supervisor::bring_back(const Trigger& trigger) {
  auto spec = spec_of(trigger);
  Place& place = places_[trigger.pipeline];
  if (!spec) {
    logger_.error("trigger cannot be resumed", {{"pipeline", trigger.pipeline_id}, {"error", spec.error().message}});
    place.error = spec.error();
    place.error_of_log = false;
    return fail(std::move(spec.error()));
  }
  place.next = std::move(*spec);
  bring_up(trigger.pipeline);
  return {};
}

Result<TriggerSpec> Supervisor::spec_of(const Trigger& trigger) const {
  ASSIGN_OR_RETURN(const PipelineVersion version, catalog_.pipeline(trigger.pipeline, trigger.version));
  ASSIGN_OR_RETURN(Definition definition,
                   pipeline::parse_definition(version.id, version.name, version.steps_json, version.options_json));
  return TriggerSpec{trigger, std::move(definition)};
}

// ---- starting ----

void Supervisor::start(StartCommand command, Done<Started> done) {
  // Shared: a task must be copyable, and a plan is large.
  auto plan = std::make_shared<Result<StartPlan>>(plan_start(std::move(command)));
  leash_.post([this, plan, done = std::move(done)] {
    if (!*plan) return done(fail(std::move(plan->error())));
    start_now(**plan, done);
  });
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
  RETURN_IF_ERROR(adopt_group(plan));
  RETURN_IF_ERROR(check_offsets(plan.command.offsets, plan.topic));
  return plan;
}

// People come over from a consumer of theirs: where it stood the trigger begins, once. A position of the trigger's own
// is newer, so a start that is repeated takes nothing back.
Status Supervisor::adopt_group(StartPlan& plan) const {
  const std::string& group = plan.command.group;
  if (group.empty()) return {};
  ASSIGN_OR_RETURN(const auto cursors, catalog_.cursors(plan.version.uid, plan.topic.uid));
  if (!cursors.empty()) return {};
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

void Supervisor::start_now(StartPlan& plan, const Done<Started>& done) {
  if (shutting_down_) return done(fail(ErrorCode::Cancelled, "The server is stopping; try again when it is back."));
  const auto from = plan.command.from;
  const bool seek = from == StartFrom::Latest || from == StartFrom::Earliest || !plan.command.offsets.empty();
  const auto stored = start_durably(plan, seek);
  if (!stored) return done(fail(stored.error()));
  const Trigger& trigger = stored->trigger;
  Started started{trigger, stored->resumed || !plan.adopted.empty(), backlog_of(stored->cursors, plan.topic)};
  if (!plan.command.group.empty()) started.group = stored->resumed ? GroupUse::PassedOver : GroupUse::Adopted;
  logger_.info("trigger started", {{"pipeline", trigger.pipeline_id},
                                   {"version", fmt::format("{}", trigger.version)},
                                   {"generation", fmt::format("{}", trigger.generation)},
                                   {"topic", trigger.topic_name},
                                   {"backlog", fmt::format("{}", started.backlog)}});
  replace({trigger, std::move(plan.definition)}, seek);
  done(std::move(started));
}

// PostDurableFirst: generation, version and start offsets are stored in one transaction before anything hears of them.
Result<StartedTrigger> Supervisor::start_durably(const StartPlan& plan, bool seek) {
  ASSIGN_OR_RETURN(const StartTrigger request, start_request(plan, seek));
  return catalog_.start_trigger(request);
}

// The ends are a little older than the loop's turn, so nothing that is published after the answer lies before them.
Result<StartTrigger> Supervisor::start_request(const StartPlan& plan, bool seek) const {
  const Topic& topic = plan.topic;
  StartTrigger request;
  request.pipeline = plan.version.uid;
  request.version = plan.version.version;
  request.topic = topic.uid;
  if (!topic.cluster.empty()) request.elsewhere = topic;
  request.seek = seek;
  ASSIGN_OR_RETURN(const auto cursors, catalog_.cursors(plan.version.uid, topic.uid));
  bool from_start = plan.command.from == StartFrom::Earliest;
  // Of a partition that the position, or the group, does not know nothing has been executed.
  if (!seek) from_start = !cursors.empty() || !plan.adopted.empty();
  for (const auto& range : topic.partitions)
    request.initial.push_back({range.partition, from_start ? range.start : range.end});
  if (!plan.command.offsets.empty()) set_offsets(request.initial, cursors);
  set_offsets(request.initial, plan.command.offsets);
  set_offsets(request.initial, plan.adopted);
  return request;
}

// The page's steps 1 to 3, without a hole: the running subscription goes on with the new version where that is
// possible, else the new one starts when nothing of the old one runs any more.
void Supervisor::replace(TriggerSpec spec, bool seek) {
  const PipelineUid pipeline = spec.trigger.pipeline;
  Place& place = places_[pipeline];
  if (!place.metrics)
    place.metrics = std::make_unique<Metrics::Hold>(world_.metrics, "pipeline", spec.trigger.pipeline_id);
  place.error.reset();
  place.retry_delay = Duration::zero();
  world_.scheduler.cancel(std::exchange(place.retry, Scheduler::TimerId::None));
  if (place.current && !seek && !place.next && place.current->can_switch_to(spec)) {
    place.current->switch_to(std::move(spec));
    return;
  }
  place.next = std::move(spec);
  if (place.current) {
    place.current->stop(options_.stop_grace);
  } else {
    bring_up(pipeline);
  }
}

void Supervisor::bring_up(PipelineUid pipeline) {
  Place& place = places_[pipeline];
  if (!place.next || place.current || shutting_down_) return;
  auto loaded = Subscription::load(
      world_, *place.next, [this, pipeline](std::optional<Error> broken) { on_end(pipeline, std::move(broken)); });
  if (!loaded) return retry_later(pipeline, std::move(loaded.error().error), loaded.error().of_log);
  place.current = std::move(*loaded);
  place.next.reset();
  place.error.reset();
  place.retry_delay = Duration::zero();
}

void Supervisor::retry_later(PipelineUid pipeline, Error error, bool of_log) {
  Place& place = places_[pipeline];
  // Once for each thing that is wrong, not at every try.
  if (!place.error || place.error->message != error.message)
    logger_.error("trigger cannot run, trying again",
                  {{"pipeline", place.next->trigger.pipeline_id}, {"error", error.message}});
  const Duration longest = error.code == ErrorCode::Unavailable ? kLongestUnavailable : kLongestRetry;
  place.error = std::move(error);
  place.error_of_log = of_log;
  if (shutting_down_) return;
  place.retry_delay = std::clamp<Duration>(place.retry_delay * 2, kFirstRetry, longest);
  place.retry = after(place.retry_delay, [this, pipeline] {
    const auto found = places_.find(pipeline);
    if (found == places_.end()) return;
    found->second.retry = Scheduler::TimerId::None;
    bring_up(pipeline);
  });
}

// Nothing of the subscription runs any more.
void Supervisor::on_end(PipelineUid pipeline, std::optional<Error> broken) {
  Place& place = places_[pipeline];
  const bool replaced = place.next.has_value();
  const bool meant_to_run = replaced || place.when_idle.empty();
  if (broken && meant_to_run && !replaced) place.next = place.current->spec();
  place.current.reset();
  for (const auto& told : std::exchange(place.when_idle, {})) told();
  if (!place.next) {
    places_.erase(pipeline);
  } else if (broken && !(replaced && broken->code == ErrorCode::Fenced)) {
    // Not at once: if another owner has taken over, the two must not fence each other as fast as they can.
    retry_later(pipeline, std::move(*broken), false);
  } else {
    bring_up(pipeline);
  }
}

// ---- stopping ----

void Supervisor::stop(const std::string& pipeline_id, bool forget_position, Done<Nothing> done) {
  leash_.post(
      [this, pipeline_id, forget_position, done = std::move(done)] { stop_now(pipeline_id, forget_position, done); });
}

void Supervisor::stop_now(const std::string& pipeline_id, bool forget_position, const Done<Nothing>& done) {
  const auto uid = pipeline_uid(pipeline_id);
  if (!uid) return done(fail(uid.error()));
  if (forget_position)
    return done(fail(ErrorCode::Unsupported, "Forgetting the position is not served yet; delete without `position`."));
  const auto stopped = catalog_.set_desired(*uid, DesiredState::Stopped);
  if (!stopped && stopped.error().code != ErrorCode::NotFound) return done(fail(stopped.error()));
  const auto found = places_.find(*uid);
  if (found == places_.end()) return done(Nothing{});
  Place& place = found->second;
  place.next.reset();
  place.error.reset();
  world_.scheduler.cancel(std::exchange(place.retry, Scheduler::TimerId::None));
  if (!place.current) {
    places_.erase(found);
    return done(Nothing{});
  }
  logger_.info("trigger stopping", {{"pipeline", pipeline_id}});
  place.when_idle.emplace_back([done] { done(Nothing{}); });
  place.current->stop(options_.stop_grace);
}

void Supervisor::shutdown(Duration grace, std::function<void()> done) {
  leash_.post([this, grace, done = std::move(done)] { shut_down_now(grace, done); });
}

void Supervisor::shut_down_now(Duration grace, const std::function<void()>& done) {
  shutting_down_ = true;
  look_for_changes();
  auto left = std::make_shared<std::size_t>(1);  // shared: by the callbacks of all places
  const auto one_less = [left, done] {
    if (--*left == 0) done();
  };
  for (auto& [uid, place] : places_) {
    world_.scheduler.cancel(std::exchange(place.retry, Scheduler::TimerId::None));
    if (!place.current) continue;
    ++*left;
    place.when_idle.emplace_back(one_less);
    place.current->stop(grace);
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
  leash_.post([this, pipeline_id, desired, done = std::move(done)] {
    const auto changed = set_desired_now(pipeline_id, desired);
    if (!changed) return done(fail(changed.error()));
    done(Nothing{});
  });
}

Status Supervisor::set_desired_now(const std::string& pipeline_id, DesiredState desired) {
  ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
  const auto trigger = catalog_.trigger(uid);
  if (!trigger && trigger.error().code != ErrorCode::NotFound) return fail(trigger.error());
  if (!trigger || trigger->desired == DesiredState::Stopped)
    return fail(ErrorCode::Conflict,
                fmt::format("The trigger of pipeline '{}' is stopped; start it first.", pipeline_id));
  ASSIGN_OR_RETURN(const Trigger changed, catalog_.set_desired(uid, desired));
  Place& place = places_[uid];
  if (place.next) place.next->trigger.desired = desired;
  if (place.current) place.current->set_paused(desired == DesiredState::Paused);
  if (!place.current && !place.next && !shutting_down_) return bring_back(changed);
  return {};
}

Result<PipelineUid> Supervisor::pipeline_uid(const std::string& pipeline_id) const {
  ASSIGN_OR_RETURN(const PipelineVersion version, catalog_.pipeline(pipeline_id, std::nullopt));
  return version.uid;
}

}  // namespace dhub::service
