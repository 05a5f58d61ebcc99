// SPDX-License-Identifier: Apache-2.0
#include "service/subscription.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "service/settings_of.h"

namespace dhub::service {
namespace {

constexpr Duration kTryAgain = std::chrono::seconds(1);

// Topics are not cut off at their end and positions not moved past it, so one of them is not what it was.
Status check_cursors(const LoadedPosition& loaded, const Topic& topic) {
  for (const auto& range : topic.partitions)
    for (const auto& partition : loaded.partitions)
      if (partition.partition == range.partition && partition.cursor > range.end)
        return fail(ErrorCode::Corruption,
                    fmt::format("The trigger stands at offset {} of partition {}, but topic '{}' ends at {}: its data "
                                "was replaced. Start the trigger again with from=earliest or from=latest.",
                                partition.cursor, range.partition, topic.name, range.end));
  return {};
}

}  // namespace

tl::expected<std::unique_ptr<Subscription>, LoadFailure> Subscription::begin(const World& world, TriggerSpec spec,
                                                                             LoadedPosition loaded, OnEnd on_end) {
  const auto failed = [](Error error, bool of_log) {
    return tl::unexpected<LoadFailure>(LoadFailure{std::move(error), of_log});
  };
  const auto topic = world.event_log.topic(spec.trigger.topic);
  if (!topic) return failed(topic.error(), true);
  if (auto sound = check_cursors(loaded, *topic); !sound) return failed(std::move(sound.error()), true);
  return std::unique_ptr<Subscription>(
      new Subscription(world, std::move(spec), std::move(loaded), *topic, std::move(on_end)));
}

Subscription::Subscription(const World& world, TriggerSpec spec, LoadedPosition loaded, const Topic& topic,
                           OnEnd on_end)
    : world_(world),
      spec_(std::move(spec)),
      on_end_(std::move(on_end)),
      epoch_(loaded.owner_epoch),
      engine_(engine_settings(spec_.trigger, spec_.definition, world.cores, world.seed, world.limits),
              std::move(loaded), world.scheduler.now()),
      pool_(world.backend, *this, world.instance_ids, world.slots,
            {[this](InstanceId id) { return engine_.outstanding(id); },
             [this](InstanceId id) { retired_.push_back(id); },
             {[this] { look(); }, [this](InstanceId id) { give_back(id); }}}),
      metrics_(world.metrics, spec_.trigger.pipeline_id),
      reading_({world.scheduler, world.event_log, spec_.trigger.topic}, engine_, metrics_, *this),
      cursors_(world.event_log, spec_.trigger.topic, "dhub." + spec_.trigger.pipeline_id, !topic.cluster.empty()),
      leash_(world.scheduler) {
  pool_.use(instance_spec(spec_.trigger, spec_.definition), resolved_scaling(spec_.definition, world_.cores));
  output_topics_.add(spec_.definition);
  life_.paused = spec_.trigger.desired == DesiredState::Paused;
  reading_.set_paused(life_.paused);
  const Instant now = world_.scheduler.now().mono;
  for (const PartitionId partition : engine_.partitions())
    cursors_.stored(partition, engine_.view(partition).cursor, now);
  reading_.start();
  step([&](const Now& at) { engine_.set_paused(life_.paused, at, out_); });
}

Subscription::~Subscription() {
  world_.scheduler.cancel(alarm_.timer);
  world_.scheduler.cancel(life_.grace_timer);
}

// ---- the engine's turn ----

template <typename Step>
void Subscription::step(Step&& step_engine) {
  if (life_.ended) return;
  CHECK(!stepping_);
  stepping_ = true;
  out_.clear();
  step_engine(world_.scheduler.now());
  carry_out();
  rescale();
  stepping_ = false;
  after_step();
}

void Subscription::carry_out() {
  for (const InstanceId instance : out_.recalls) world_.backend.recall(instance);
  for (std::size_t i = 0; i < out_.dispatch_count; ++i)
    world_.backend.deliver(out_.dispatches[i].instance, out_.dispatches[i].frame);
  if (out_.commit) hand_to_journal(std::move(out_.commit));
  if (!out_.details.empty()) {
    for (const auto& detail : out_.details)
      if (detail.kind != OutcomeKind::Succeeded && detail.kind != OutcomeKind::Filtered) note_error(detail.error);
    world_.run_archive.append(std::move(out_.details));
    out_.details = {};
  }
  if (out_.broken) break_off(std::move(*out_.broken));
}

void Subscription::after_step() {
  tell_losses();
  metrics_.count(engine_.tally());
  metrics_.set_lag(reading_.lag());
  reading_.look();
  arm_timer();
  changed_();
  end_if_drained();
}

void Subscription::hand_to_journal(JournalCommitRef commit) {
  for (const auto& partition : commit->partitions) reading_.set_cursor(partition.partition, partition.cursor);
  output_topics_.add(commit->publications);
  auto answered = [this, commit](const auto& answer) { commit_answered(commit, answer); };
  world_.journal.commit(std::move(commit), leash_.answer<CommitAnswer>(std::move(answered)));
}

void Subscription::commit_answered(const JournalCommitRef& commit, const Result<CommitAnswer>& answer) {
  if (!answer) {
    // Fenced by the seek that we are making way for: nothing is wrong.
    const bool expected = life_.stopping && answer.error().code == ErrorCode::Fenced;
    if (!expected) note_error(answer.error().message);
    if (!expected && !troubles_.commit) log(LogLevel::Error, "commit refused", {{"error", answer.error().message}});
    troubles_.commit = answer.error();
  } else {
    if (troubles_.commit) log(LogLevel::Info, "commits are stored again", {});
    troubles_.commit.reset();
    cursors_.stored(*commit, world_.scheduler.now().mono);
  }
  step([&](const Now& now) { engine_.commit_answered(commit->seq, answer, now, out_); });
}

// ---- reading ----

void Subscription::on_records(PartitionId partition, const delivery::ReadChunk& chunk) {
  step([&](const Now& now) { engine_.records(partition, chunk, now, out_); });
}

void Subscription::on_records_again(PartitionId partition, const delivery::ReadChunk& chunk) {
  step([&](const Now& now) { engine_.records_again(partition, chunk, now, out_); });
}

// New partitions begin at 0, whatever retention has left of them: what was published since they are there is covered.
// The journal knows them before the engine does.
void Subscription::on_topic(const Topic& topic) {
  changed_();
  std::vector<StartOffset> fresh;
  if (topic.partitions.size() > engine_.backlog().size())
    for (const auto& range : topic.partitions)
      if (!engine_.backlog().index_of(range.partition)) fresh.push_back({range.partition, Offset{0}});
  if (fresh.empty() || life_.stopping || std::exchange(life_.adding_partitions, true)) return;
  world_.journal.add_partitions(
      spec_.trigger.position, epoch_, fresh,
      leash_.answer<void>([this, fresh](const Status& added) { partitions_added(fresh, added); }));
}

void Subscription::partitions_added(const std::vector<StartOffset>& fresh, const Status& added) {
  life_.adding_partitions = false;
  if (life_.stopping) return;
  if (!added && added.error().code == ErrorCode::Fenced) {
    break_off(added.error());
    return end_if_drained();
  }
  if (!added) {
    note_error(added.error().message);
    if (!troubles_.partitions)
      log(LogLevel::Error, "new partitions cannot be taken up, trying again every second",
          {{"error", added.error().message}});
    troubles_.partitions = added.error();
    reading_.look_at_topic(world_.scheduler.now().mono + kTryAgain);
    return arm_timer();
  }
  troubles_.partitions.reset();
  log(LogLevel::Info, "the topic has got new partitions", {{"count", fmt::format("{}", fresh.size())}});
  for (const auto& start : fresh) {
    engine_.add_partition({start.partition, start.offset, start.offset, {}, {}, {}}, world_.scheduler.now());
    reading_.set_cursor(start.partition, start.offset);
    reading_.add_partition(start.partition);
  }
  // What came while these were being added was passed over.
  reading_.look_at_topic(world_.scheduler.now().mono);
  arm_timer();
}

void Subscription::on_read_failed(PartitionId partition, const Error& error, bool is_new) {
  note_error(error.message);
  changed_();
  if (is_new)
    log(LogLevel::Error, "topic cannot be read, trying again every second",
        {{"partition", fmt::format("{}", partition)}, {"error", error.message}});
}

void Subscription::on_read_recovered(PartitionId partition) {
  changed_();
  log(LogLevel::Info, "reading again", {{"partition", fmt::format("{}", partition)}});
}

// ---- instances ----

void Subscription::on_ready(InstanceId instance) {
  const Now now = world_.scheduler.now();
  const auto took = pool_.on_ready(instance, now);
  if (!took) return;
  metrics_.observe_start(*took);
  const auto version = pool_.version_of(instance);
  step([&](const Now& at) { engine_.instance_ready(instance, *version, at, out_); });
}

void Subscription::on_outcomes(InstanceId instance, std::vector<Outcome> outcomes) {
  if (life_.killed) return;  // we killed them ourselves: nobody is charged, all of it runs again after the next start
  pool_.on_outcomes(instance);
  step([&](const Now& now) { engine_.outcomes(instance, std::move(outcomes), now, out_); });
}

void Subscription::on_ended(const InstanceEnded& ended) {
  pool_.on_ended(ended, world_.scheduler.now());
  if (ended.reason != EndReason::Drained && ended.reason != EndReason::Killed)
    log(LogLevel::Warn, "instance ended by itself",
        {{"instance", fmt::format("{}", ended.instance)},
         {"reason", to_string(ended.reason)},
         {"detail", ended.detail}});
  if (ended.reason == EndReason::FailedToStart) note_error(ended.detail);
  if (!life_.killed) step([&](const Now& now) { engine_.instance_ended(ended.instance, now, out_); });
  changed_();
  end_if_drained();
}

// Idle instances that it drains are taken out of the engine's hands in the same step.
void Subscription::rescale() {
  if (life_.stopping) {
    alarm_.rescale_at.reset();
    return;
  }
  const auto demand = engine_.demand();
  const bool needs_instances = !spec_.definition.steps.empty();
  const Workload work{needs_instances ? demand.runnable : 0, needs_instances ? demand.blocked : 0, demand.in_flight,
                      demand.service_time, demand.held_up};
  alarm_.rescale_at = pool_.rescale(work, world_.scheduler.now());
  for (const InstanceId instance : std::exchange(retired_, {})) {
    out_.clear();
    engine_.instance_ended(instance, world_.scheduler.now(), out_);
    carry_out();
  }
  engine_.set_wanted(pool_.granted());
  metrics_.set_waits_for_instances(pool_.waits_for());
  metrics_.set_instances(static_cast<std::int64_t>(pool_.size()));
  metrics_.set_in_flight(demand.in_flight);
}

// The ledger of the machine has something for us, or others want what we do not need.
void Subscription::look() {
  step([&](const Now& now) { engine_.tick(now, out_); });
}

void Subscription::give_back(InstanceId instance) {
  if (life_.stopping) return;  // it ends anyway
  engine_.instance_leaving(instance);
  pool_.give_back(instance);
  look();
}

void Subscription::arm_timer() {
  if (life_.ended) return;
  std::optional<Instant> at = engine_.wake_at();
  for (const auto& other : {alarm_.rescale_at, reading_.next_at(), cursors_.next_at()})
    if (other && (!at || *other < *at)) at = other;
  if (at == alarm_.at) return;
  world_.scheduler.cancel(std::exchange(alarm_.timer, Scheduler::TimerId::None));
  alarm_.at = at;
  if (at) alarm_.timer = leash_.at(*at, [this] { on_timer(); });
}

void Subscription::on_timer() {
  alarm_.timer = Scheduler::TimerId::None;
  alarm_.at.reset();
  const Instant now = world_.scheduler.now().mono;
  if (const auto at = cursors_.next_at(); at && *at <= now) cursors_.tell(now);
  reading_.on_time(now);
  step([&](const Now& at) { engine_.tick(at, out_); });
}

// ---- control ----

bool Subscription::can_switch_to(const TriggerSpec& spec) const {
  return !life_.stopping && spec.trigger.position == spec_.trigger.position &&
         spec.definition.options.ordering == spec_.definition.options.ordering;
}

void Subscription::switch_to(TriggerSpec spec) {
  CHECK(can_switch_to(spec));
  const bool other_version = spec.trigger.version != spec_.trigger.version;
  spec_ = std::move(spec);
  life_.paused = spec_.trigger.desired == DesiredState::Paused;
  reading_.set_paused(life_.paused);
  pool_.use(instance_spec(spec_.trigger, spec_.definition), resolved_scaling(spec_.definition, world_.cores));
  output_topics_.add(spec_.definition);
  step([&](const Now& now) {
    // In this order: what a pause has held back must not go to the old version.
    if (other_version)
      engine_.switch_version(version_settings(spec_.trigger, spec_.definition, world_.cores), now, out_);
    engine_.set_paused(life_.paused, now, out_);
  });
}

void Subscription::set_paused(bool paused) {
  spec_.trigger.desired = paused ? DesiredState::Paused : DesiredState::Running;
  if (life_.stopping) return;  // whoever comes next reads it from the spec
  life_.paused = paused;
  reading_.set_paused(paused);
  step([&](const Now& now) { engine_.set_paused(paused, now, out_); });
}

void Subscription::stop(Duration grace) {
  if (life_.ended) return;
  if (!std::exchange(life_.stopping, true)) {
    reading_.stop();
    step([&](const Now& now) { engine_.set_paused(true, now, out_); });
    pool_.drain_all();
    if (life_.ended) return;
  }
  const Instant until = world_.scheduler.now().mono + grace;
  if (life_.killed || (life_.grace_until && *life_.grace_until <= until)) return;
  life_.grace_until = until;
  world_.scheduler.cancel(life_.grace_timer);
  life_.grace_timer = leash_.at(until, [this] { kill_what_is_left(); });
}

// The grace is over: what runs is killed and stays uncommitted, so it runs again after the next start.
void Subscription::kill_what_is_left() {
  if (life_.ended || life_.killed) return;
  life_.killed = true;
  pool_.kill_all();
  end_if_drained();
}

// The journal has refused us for good: somebody else owns the position, or engine and journal disagree.
void Subscription::break_off(Error error) {
  note_error(error.message);
  life_.broken = std::move(error);
  life_.stopping = true;
  if (std::exchange(life_.killed, true)) return;
  reading_.stop();
  pool_.kill_all();
}

void Subscription::end_if_drained() {
  if (!life_.stopping || life_.ended || stepping_ || pool_.size() > 0) return;
  if (!life_.killed && !engine_.drained()) return;
  life_.ended = true;
  world_.scheduler.cancel(alarm_.timer);
  world_.scheduler.cancel(life_.grace_timer);
  if (!life_.broken) {
    cursors_.tell(world_.scheduler.now().mono);
    // A clean stop: nothing runs any more, so the next load suspects nobody. Failing to say so costs only caution.
    // Nobody waits for the answer: the next load is behind it.
    world_.journal.release(spec_.trigger.position, epoch_, [](const Status&) {});
  }
  metrics_.set_instances(0);
  metrics_.set_in_flight(0);
  metrics_.set_waits_for_instances(0);
  // Posted: whoever is told may destroy us.
  world_.scheduler.post([on_end = on_end_, broken = life_.broken] { on_end(broken); });
}

// ---- telling ----

void Subscription::note_error(std::string text) {
  troubles_.last = std::move(text);
  troubles_.last_at = world_.scheduler.now().wall;
}

void Subscription::log(LogLevel level, std::string_view message, std::vector<LogField> fields) {
  fields.push_back({"pipeline", spec_.trigger.pipeline_id});
  fields.push_back({"topic", spec_.trigger.topic_name});
  world_.logger.log(level, message, fields);
}

// What is given up or was lost is told, summed over a step.
void Subscription::tell_losses() {
  const auto& tally = engine_.tally();
  if (tally.dead_lettered > told_.dead_lettered)
    log(LogLevel::Warn, "events became dead letters",
        {{"count", fmt::format("{}", tally.dead_lettered - told_.dead_lettered)}, {"last_error", troubles_.last}});
  if (tally.expired > told_.expired)
    log(LogLevel::Error, "events expired: retention took them before they were executed",
        {{"count", fmt::format("{}", tally.expired - told_.expired)}});
  told_ = tally;
}

}  // namespace dhub::service
