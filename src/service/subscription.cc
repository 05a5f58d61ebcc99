// SPDX-License-Identifier: Apache-2.0
#include "service/subscription.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "service/settings_of.h"

namespace dhub::service {
namespace {

constexpr Duration kTellCursors = std::chrono::seconds(1);

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

tl::expected<std::unique_ptr<Subscription>, LoadFailure> Subscription::load(const World& world, TriggerSpec spec,
                                                                            OnEnd on_end) {
  const auto failed = [](Error error, bool of_log) {
    return tl::unexpected<LoadFailure>(LoadFailure{std::move(error), of_log});
  };
  // In this order: a topic that is out of reach must not raise the owner epoch at every try.
  const auto topic = world.event_log.topic(spec.trigger.topic);
  if (!topic) return failed(topic.error(), true);
  auto loaded = world.journal.load(spec.trigger.position);
  if (!loaded) return failed(std::move(loaded.error()), false);
  if (auto sound = check_cursors(*loaded, *topic); !sound) return failed(std::move(sound.error()), true);
  return std::unique_ptr<Subscription>(
      new Subscription(world, std::move(spec), std::move(*loaded), *topic, std::move(on_end)));
}

Subscription::Subscription(const World& world, TriggerSpec spec, LoadedPosition loaded, const Topic& topic,
                           OnEnd on_end)
    : world_(world),
      spec_(std::move(spec)),
      on_end_(std::move(on_end)),
      epoch_(loaded.owner_epoch),
      engine_(engine_settings(spec_.trigger, spec_.definition, world.cores, world.seed, world.limits),
              std::move(loaded), world.scheduler.now()),
      pool_(
          world.backend, *this, world.instance_ids, [this](InstanceId id) { return engine_.outstanding(id); },
          [this](InstanceId id) { step([&](const Now& now) { engine_.instance_ended(id, now, out_); }); }),
      metrics_(world.metrics, spec_.trigger.pipeline_id),
      foreign_(!topic.cluster.empty()),
      growth_posted_(std::make_shared<std::atomic<bool>>(false)),
      leash_(world.scheduler) {
  pool_.use(instance_spec(spec_.trigger, spec_.definition), resolved_scaling(spec_.definition, world_.cores));
  output_topics_.add(spec_.definition);
  paused_ = spec_.trigger.desired == DesiredState::Paused;
  open_reader();
  unread_ = engine_.partitions();
  for (const PartitionId partition : unread_) {
    const Offset cursor = engine_.view(partition).cursor;
    lag_.set_cursor(partition, cursor);
    if (foreign_) stored_[partition] = cursor;
  }
  note_ends();
  tell_cursors_later();
  step([&](const Now& now) { engine_.set_paused(paused_, now, out_); });
}

Subscription::~Subscription() {
  world_.scheduler.cancel(timer_);
  world_.scheduler.cancel(grace_timer_);
}

// ---- the engine's turn ----

void Subscription::carry_out() {
  for (const InstanceId instance : out_.recalls) world_.backend.recall(instance);
  for (std::size_t i = 0; i < out_.dispatch_count; ++i)
    world_.backend.deliver(out_.dispatches[i].instance, out_.dispatches[i].frame);
  if (out_.commit) hand_to_journal(std::move(*out_.commit));
  if (!out_.details.empty()) {
    for (const auto& detail : out_.details)
      if (detail.kind != OutcomeKind::Succeeded && detail.kind != OutcomeKind::Filtered) note_error(detail.error);
    world_.run_archive.append(std::move(out_.details));
    out_.details = {};
  }
  for (const auto& wanted : out_.fetches) {
    leash_.post([this, wanted] { fetch(wanted); });
  }
  if (out_.broken) break_off(std::move(*out_.broken));
}

void Subscription::after_step() {
  if (ended_) return;
  tell_losses();
  metrics_.count(engine_.tally());
  metrics_.set_lag(lag_.lag());
  if (!unread_.empty()) post_read();
  rescale();
  arm_timer();
  end_if_drained();
}

void Subscription::hand_to_journal(JournalCommit commit) {
  const CommitSeq seq = commit.seq;
  for (const auto& partition : commit.partitions) lag_.set_cursor(partition.partition, partition.cursor);
  if (foreign_) remember_cursors(commit);
  output_topics_.add(commit.publications);
  world_.journal.commit(std::move(commit),
                        leash_.answer<CommitAnswer>([this, seq](const auto& answer) { commit_answered(seq, answer); }));
}

void Subscription::commit_answered(CommitSeq seq, const Result<CommitAnswer>& answer) {
  if (!answer) {
    // Fenced by the seek that we are making way for: nothing is wrong.
    const bool expected = stopping_ && answer.error().code == ErrorCode::Fenced;
    if (!expected) note_error(answer.error().message);
    if (!expected && !commit_error_) log(LogLevel::Error, "commit refused", {{"error", answer.error().message}});
    commit_error_ = answer.error();
  } else {
    if (commit_error_) log(LogLevel::Info, "commits are stored again", {});
    commit_error_.reset();
    for (const auto& cursor : std::exchange(committing_, {})) stored_[cursor.partition] = cursor.offset;
    tell_cursors_later();
  }
  step([&](const Now& now) { engine_.commit_answered(seq, answer, now, out_); });
}

// One commit is under way at a time, and what is sent again is the same.
void Subscription::remember_cursors(const JournalCommit& commit) {
  committing_.clear();
  for (const auto& partition : commit.partitions) committing_.push_back({partition.partition, partition.cursor});
}

// Coalesced: the cluster is told at most once a second.
void Subscription::tell_cursors_later() {
  if (stored_.empty() || note_cursors_at_) return;
  const Instant now = world_.scheduler.now().mono;
  note_cursors_at_ = cursors_noted_at_ ? std::max(now, *cursors_noted_at_ + kTellCursors) : now;
}

void Subscription::tell_cursors() {
  note_cursors_at_.reset();
  if (stored_.empty()) return;
  cursors_noted_at_ = world_.scheduler.now().mono;
  std::vector<StartOffset> cursors;
  for (const auto& [partition, cursor] : std::exchange(stored_, {})) cursors.push_back({partition, cursor});
  world_.event_log.note_cursors(spec_.trigger.topic, "dhub." + spec_.trigger.pipeline_id, cursors);
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
  if (killed_) return;  // we killed them ourselves: nobody is charged, all of it runs again after the next start
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
  if (!killed_) step([&](const Now& now) { engine_.instance_ended(ended.instance, now, out_); });
  end_if_drained();
}

void Subscription::rescale() {
  if (stopping_) {
    reconsider_scaling_at_.reset();
    return;
  }
  const auto demand = engine_.demand();
  const bool needs_instances = !spec_.definition.steps.empty();
  const Workload work{needs_instances ? demand.runnable : 0, needs_instances ? demand.blocked : 0, demand.in_flight,
                      demand.service_time};
  const bool was_stepping = std::exchange(stepping_, true);
  reconsider_scaling_at_ = pool_.rescale(work, world_.scheduler.now());
  stepping_ = was_stepping;
  metrics_.set_instances(static_cast<std::int64_t>(pool_.size()));
  metrics_.set_in_flight(demand.in_flight);
}

void Subscription::arm_timer() {
  if (ended_) return;
  std::optional<Instant> at = engine_.wake_at();
  for (const auto& other : {reconsider_scaling_at_, read_again_at_, note_ends_at_, note_cursors_at_})
    if (other && (!at || *other < *at)) at = other;
  if (at == timer_at_) return;
  world_.scheduler.cancel(std::exchange(timer_, Scheduler::TimerId::None));
  timer_at_ = at;
  if (!at) return;
  timer_ = leash_.at(*at, [this] { on_timer(); });
}

void Subscription::on_timer() {
  timer_ = Scheduler::TimerId::None;
  timer_at_.reset();
  const Instant now_mono = world_.scheduler.now().mono;
  const auto is_due = [&](const std::optional<Instant>& at) { return at && *at <= now_mono; };
  if (is_due(note_ends_at_)) note_ends();
  if (is_due(note_cursors_at_)) tell_cursors();
  if (is_due(read_again_at_)) {
    read_again_at_.reset();
    unread_ = engine_.partitions();
    fetch_awaited();
  }
  step([&](const Now& now) { engine_.tick(now, out_); });
}

// ---- control ----

bool Subscription::can_switch_to(const TriggerSpec& spec) const {
  return !stopping_ && spec.trigger.position == spec_.trigger.position &&
         spec.definition.options.ordering == spec_.definition.options.ordering;
}

void Subscription::switch_to(TriggerSpec spec) {
  CHECK(can_switch_to(spec));
  const bool other_version = spec.trigger.version != spec_.trigger.version;
  spec_ = std::move(spec);
  paused_ = spec_.trigger.desired == DesiredState::Paused;
  pool_.use(instance_spec(spec_.trigger, spec_.definition), resolved_scaling(spec_.definition, world_.cores));
  output_topics_.add(spec_.definition);
  step([&](const Now& now) {
    // In this order: what a pause has held back must not go to the old version.
    if (other_version)
      engine_.switch_version(version_settings(spec_.trigger, spec_.definition, world_.cores), now, out_);
    engine_.set_paused(paused_, now, out_);
  });
}

void Subscription::set_paused(bool paused) {
  spec_.trigger.desired = paused ? DesiredState::Paused : DesiredState::Running;
  if (stopping_) return;  // whoever comes next reads it from the spec
  paused_ = paused;
  step([&](const Now& now) { engine_.set_paused(paused, now, out_); });
}

void Subscription::stop(Duration grace) {
  if (ended_) return;
  if (!std::exchange(stopping_, true)) {
    reader_.reset();
    read_again_at_.reset();
    note_ends_at_.reset();
    step([&](const Now& now) { engine_.set_paused(true, now, out_); });
    pool_.drain_all();
    if (ended_) return;
  }
  const Instant until = world_.scheduler.now().mono + grace;
  if (killed_ || (grace_until_ && *grace_until_ <= until)) return;
  grace_until_ = until;
  world_.scheduler.cancel(grace_timer_);
  grace_timer_ = leash_.at(until, [this] { kill_what_is_left(); });
}

// The grace is over: what runs is killed and stays uncommitted, so it runs again after the next start.
void Subscription::kill_what_is_left() {
  if (ended_ || killed_) return;
  killed_ = true;
  pool_.kill_all();
  end_if_drained();
}

// The journal has refused us for good: somebody else owns the position, or engine and journal disagree.
void Subscription::break_off(Error error) {
  note_error(error.message);
  broken_ = std::move(error);
  stopping_ = true;
  if (std::exchange(killed_, true)) return;
  reader_.reset();
  pool_.kill_all();
}

void Subscription::end_if_drained() {
  if (!stopping_ || ended_ || stepping_ || pool_.size() > 0) return;
  if (!killed_ && !engine_.drained()) return;
  ended_ = true;
  world_.scheduler.cancel(timer_);
  world_.scheduler.cancel(grace_timer_);
  if (!broken_) {
    tell_cursors();
    // A clean stop: nothing runs any more, so the next load suspects nobody. Failing to say so costs only caution.
    (void)world_.journal.mark_clean(spec_.trigger.position, epoch_);
  }
  metrics_.set_instances(0);
  metrics_.set_in_flight(0);
  // Posted: whoever is told may destroy us.
  world_.scheduler.post([on_end = on_end_, broken = broken_] { on_end(broken); });
}

// ---- telling ----

void Subscription::note_error(std::string text) {
  last_error_ = std::move(text);
  last_error_at_ = world_.scheduler.now().wall;
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
        {{"count", fmt::format("{}", tally.dead_lettered - told_.dead_lettered)}, {"last_error", last_error_}});
  if (tally.expired > told_.expired)
    log(LogLevel::Error, "events expired: retention took them before they were executed",
        {{"count", fmt::format("{}", tally.expired - told_.expired)}});
  told_ = tally;
}

}  // namespace dhub::service
