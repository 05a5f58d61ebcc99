// SPDX-License-Identifier: Apache-2.0
#include "service/subscription.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "service/settings_of.h"

namespace dhub::service {
namespace {

constexpr std::size_t kReadBytes = 512 << 10;  // of one read of one partition
constexpr std::int64_t kReadAhead = 16 << 10;  // runnable events beyond which reading waits
constexpr Duration kReadAgain = std::chrono::seconds(1);

}  // namespace

Result<std::unique_ptr<Subscription>> Subscription::load(const World& world, TriggerSpec spec, OnEnd on_end) {
  ASSIGN_OR_RETURN(LoadedPosition loaded, world.journal.load(spec.trigger.position));
  return std::unique_ptr<Subscription>(new Subscription(world, std::move(spec), std::move(loaded), std::move(on_end)));
}

Subscription::Subscription(const World& world, TriggerSpec spec, LoadedPosition loaded, OnEnd on_end)
    : world_(world),
      spec_(std::move(spec)),
      on_end_(std::move(on_end)),
      engine_(engine_settings(spec_.trigger, spec_.definition, world.cores, world.seed), loaded, world.scheduler.now()),
      epoch_(loaded.owner_epoch),
      pool_(
          world.backend, *this, world.instance_ids, [this](InstanceId id) { return engine_.outstanding(id); },
          [this](InstanceId id) { step([&](const Now& now) { engine_.instance_ended(id, now, out_); }); }),
      metrics_(world.metrics, spec_.trigger.pipeline_id),
      growth_posted_(std::make_shared<std::atomic<bool>>(false)),
      alive_(std::make_shared<char>()) {
  pool_.use(instance_spec(spec_.trigger, spec_.definition), resolved_scaling(spec_.definition, world_.cores));
  paused_ = spec_.trigger.desired == DesiredState::Paused;
  watch_topic();
  unread_ = engine_.partitions();
  step([&](const Now& now) { engine_.set_paused(paused_, now, out_); });
}

Subscription::~Subscription() {
  CHECK(pool_.size() == 0);
}

void Subscription::watch_topic() {
  watch_ = world_.event_log.watch(
      spec_.trigger.topic,
      [this, posted = growth_posted_, alive = std::weak_ptr<char>(alive_), &scheduler = world_.scheduler] {
        if (posted->exchange(true)) return;  // one task for all the growth until it runs
        scheduler.post([this, posted, alive] {
          posted->store(false);
          if (alive.expired()) return;
          unread_ = engine_.partitions();
          read_on();
        });
      });
}

// ---- the engine's turn ----

// Steps do not nest: what happens while outputs are carried out (an instance retired) is settled in the same round.
template <typename Step>
void Subscription::step(Step&& step_engine) {
  if (ended_) return;
  if (stepping_) {
    delivery::Outputs kept;
    std::swap(kept, out_);
    step_engine(world_.scheduler.now());
    carry_out();
    std::swap(kept, out_);
    return;
  }
  stepping_ = true;
  out_.clear();
  step_engine(world_.scheduler.now());
  carry_out();
  stepping_ = false;
  after_step();
}

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
    world_.scheduler.post([this, wanted, alive = std::weak_ptr<char>(alive_)] {
      if (!alive.expired()) fetch(wanted);
    });
  }
  if (out_.broken) break_off(std::move(*out_.broken));
}

void Subscription::after_step() {
  if (ended_) return;
  metrics_.count(engine_.tally());
  if (!unread_.empty()) post_read();
  rescale();
  arm_timer();
  end_if_drained();
}

void Subscription::hand_to_journal(JournalCommit commit) {
  const CommitSeq seq = commit.seq;
  world_.journal.commit(std::move(commit), [this, seq, alive = std::weak_ptr<char>(alive_),
                                            &scheduler = world_.scheduler](Result<CommitAnswer> answer) {
    scheduler.post([this, seq, alive, answer = std::move(answer)] {
      if (alive.expired()) return;
      commit_error_ = answer ? std::nullopt : std::optional(answer.error());
      if (commit_error_) note_error(commit_error_->message);
      step([&](const Now& now) { engine_.commit_answered(seq, answer, now, out_); });
    });
  });
}

// ---- reading ----

void Subscription::post_read() {
  if (read_posted_ || stopping_) return;
  if (engine_.demand().runnable > kReadAhead) return;  // outcomes will bring us here again
  read_posted_ = true;
  world_.scheduler.post([this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    read_posted_ = false;
    read_on();
  });
}

// One read of each partition that has more, then the loop gets its turn again.
void Subscription::read_on() {
  if (stopping_ || ended_) return;
  std::vector<PartitionId> rest;
  for (const PartitionId partition : std::exchange(unread_, {}))
    if (read_partition(partition)) rest.push_back(partition);
  for (const PartitionId partition : rest)
    if (std::find(unread_.begin(), unread_.end(), partition) == unread_.end()) unread_.push_back(partition);
  const bool room =
      std::any_of(unread_.begin(), unread_.end(), [&](PartitionId p) { return engine_.wants_read(p).has_value(); });
  if (room) post_read();
}

// Answers whether there is more to read, now or when the window has moved.
bool Subscription::read_partition(PartitionId partition) {
  const auto from = engine_.wants_read(partition);
  if (!from) return true;
  auto read = world_.event_log.read(spec_.trigger.topic, partition, *from, kReadBytes);
  if (!read) {
    read_error_ = read.error();
    note_error(read.error().message);
    read_again_at_ = world_.scheduler.now().mono + kReadAgain;
    arm_timer();
    return false;
  }
  read_error_.reset();
  const auto& records = read->batch->records;
  const bool gap = records.empty() ? read->next_offset > *from : records.front().offset > *from;
  const delivery::ReadChunk chunk{read->batch, read->next_offset, gap ? log_start(partition) : Offset{0}};
  step([&](const Now& now) { engine_.records(partition, chunk, now, out_); });
  return !read->end_reached;
}

void Subscription::fetch(const delivery::Fetch& wanted) {
  auto read = world_.event_log.read(spec_.trigger.topic, wanted.partition, wanted.offset, kReadBytes);
  if (!read) {
    // The log cannot be read now; the event keeps its turn and is asked for again.
    read_error_ = read.error();
    world_.scheduler.at(world_.scheduler.now().mono + kReadAgain, [this, wanted, alive = std::weak_ptr<char>(alive_)] {
      if (!alive.expired()) fetch(wanted);
    });
    return;
  }
  read_error_.reset();
  const delivery::ReadChunk chunk{read->batch, read->next_offset, log_start(wanted.partition)};
  step([&](const Now& now) { engine_.fetched(wanted.partition, wanted.offset, chunk, now, out_); });
}

Offset Subscription::log_start(PartitionId partition) {
  const auto topic = world_.event_log.topic(spec_.trigger.topic);
  if (topic)
    for (const auto& range : topic->partitions)
      if (range.partition == partition) return range.start;
  return Offset{0};
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
  step([&](const Now& now) { engine_.outcomes(instance, std::move(outcomes), now, out_); });
}

void Subscription::on_ended(const InstanceEnded& ended) {
  pool_.on_ended(ended, world_.scheduler.now());
  if (ended.reason == EndReason::FailedToStart) note_error(ended.detail);
  if (!killed_) step([&](const Now& now) { engine_.instance_ended(ended.instance, now, out_); });
  end_if_drained();
}

void Subscription::rescale() {
  if (stopping_) return;
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
  std::optional<Instant> at = engine_.wake_at();
  for (const auto& other : {reconsider_scaling_at_, read_again_at_})
    if (other && (!at || *other < *at)) at = other;
  world_.scheduler.cancel(timer_);
  timer_ = Scheduler::TimerId::None;
  if (!at || ended_) return;
  timer_ = world_.scheduler.at(*at, [this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    const Now now = world_.scheduler.now();
    if (read_again_at_ && *read_again_at_ <= now.mono) {
      read_again_at_.reset();
      unread_ = engine_.partitions();
    }
    step([&](const Now& at_now) { engine_.tick(at_now, out_); });
  });
}

// ---- control ----

bool Subscription::can_switch_to(const TriggerSpec& spec) const {
  return !stopping_ && spec.trigger.position == spec_.trigger.position &&
         spec.definition.options.ordering == spec_.definition.options.ordering;
}

void Subscription::switch_to(TriggerSpec spec) {
  CHECK(can_switch_to(spec));
  spec_ = std::move(spec);
  paused_ = spec_.trigger.desired == DesiredState::Paused;
  step([&](const Now& now) {
    engine_.set_paused(paused_, now, out_);
    engine_.switch_version(version_settings(spec_.trigger, spec_.definition, world_.cores), now, out_);
  });
  pool_.use(instance_spec(spec_.trigger, spec_.definition), resolved_scaling(spec_.definition, world_.cores));
  rescale();
  arm_timer();
}

void Subscription::set_paused(bool paused) {
  paused_ = paused;
  spec_.trigger.desired = paused ? DesiredState::Paused : DesiredState::Running;
  step([&](const Now& now) { engine_.set_paused(paused, now, out_); });
}

void Subscription::stop(Duration grace) {
  const bool first = !std::exchange(stopping_, true);
  if (first) {
    watch_.reset();
    step([&](const Now& now) { engine_.set_paused(true, now, out_); });
    pool_.drain_all();
  }
  world_.scheduler.cancel(grace_timer_);
  grace_timer_ = world_.scheduler.at(world_.scheduler.now().mono + grace, [this, alive = std::weak_ptr<char>(alive_)] {
    if (!alive.expired()) kill_what_is_left();
  });
  end_if_drained();
}

// The grace is over: what runs is killed and stays uncommitted, so it runs again after the next start.
void Subscription::kill_what_is_left() {
  killed_ = true;
  pool_.kill_all();
  end_if_drained();
}

// The journal has refused us for good: somebody else owns the position, or engine and journal disagree.
void Subscription::break_off(Error error) {
  note_error(error.message);
  broken_ = std::move(error);
  stopping_ = true;
  killed_ = true;
  watch_.reset();
  pool_.kill_all();
}

void Subscription::end_if_drained() {
  if (!stopping_ || ended_ || stepping_ || pool_.size() > 0) return;
  if (!killed_ && !engine_.drained()) return;
  ended_ = true;
  world_.scheduler.cancel(timer_);
  world_.scheduler.cancel(grace_timer_);
  if (!killed_) {
    // A clean stop: the next load suspects nobody. Failing to say so costs only caution.
    (void)world_.journal.mark_clean(spec_.trigger.position, epoch_);
  }
  metrics_.set_instances(0);
  metrics_.set_in_flight(0);
  // Posted: whoever is told may destroy us.
  world_.scheduler.post([on_end = on_end_, broken = broken_] { on_end(broken); });
}

void Subscription::note_error(std::string text) {
  last_error_ = std::move(text);
  last_error_at_ = world_.scheduler.now().wall;
}

}  // namespace dhub::service
