// SPDX-License-Identifier: Apache-2.0
#include "service/instance_pool.h"

#include <algorithm>
#include <utility>

namespace dhub::service {
namespace {

constexpr Duration kFirstStartDelay = std::chrono::seconds(1);
constexpr Duration kLongestStartDelay = std::chrono::seconds(30);

}  // namespace

InstancePool::InstancePool(ComputeBackend& backend, ComputeListener& listener, InstanceIds& ids, Slots& slots,
                           Asks asks)
    : backend_(backend),
      listener_(listener),
      ids_(ids),
      outstanding_(std::move(asks.outstanding)),
      retire_(std::move(asks.retire)),
      share_(slots, std::move(asks.slots)) {}

void InstancePool::use(InstanceSpecRef spec, const Scaling& scaling) {
  spec_ = std::move(spec);
  scaling_ = scaling;
  share_.use({std::min(scaling.min_instances, scaling.max_instances), spec_->limits.memory_bytes});
  start_failure_.reset();
  no_start_before_.reset();
  start_delay_ = Duration::zero();
}

InstancePool::Member* InstancePool::find(InstanceId instance) {
  for (auto& member : members_)
    if (member.id == instance) return &member;
  return nullptr;
}

std::optional<Instant> InstancePool::rescale(const Workload& work, const Now& now) {
  note_idleness(now);
  end_older_versions();
  const auto seen = observe(work, now);
  // What is idle while others wait ends at once.
  Scaling scaling = scaling_;
  if (share_.others_wait()) scaling.idle_timeout = Duration::zero();
  auto plan = scaling::decide(seen, scaling);
  hold_back(plan, now);
  ask_for_slots(plan, seen);
  // The sentence is made when the decision changes, not for every event.
  if (plan.wanted != wanted_ || plan.start > 0 || plan.drain_idle > 0 || share_.waits_for() != waits_for_) {
    reason_ = scaling::explain(seen, scaling, plan);
    if (const std::string why = share_.why_it_waits(); !why.empty()) reason_ += " " + why;
  }
  wanted_ = plan.wanted;
  waits_for_ = share_.waits_for();
  start(plan.start, now);
  drain_idle(plan.drain_idle);
  return plan.reconsider_at;
}

void InstancePool::ask_for_slots(scaling::Plan& plan, const scaling::Observations& seen) {
  const std::int32_t present = seen.starting + seen.idle + seen.busy;
  const bool surplus = seen.idle > plan.drain_idle && present - plan.drain_idle > plan.wanted;
  plan.start = share_.ask(plan.start, surplus);
  granted_ = std::min(plan.wanted, present + plan.start);
}

// After a failed start the next one waits, and goes alone.
void InstancePool::hold_back(scaling::Plan& plan, const Now& now) const {
  if (plan.start == 0) return;
  if (no_start_before_ && now.mono < *no_start_before_) {
    plan.start = 0;
    plan.reconsider_at = plan.reconsider_at ? std::min(*plan.reconsider_at, *no_start_before_) : *no_start_before_;
    return;
  }
  if (!start_failure_) return;
  const bool trying = std::any_of(members_.begin(), members_.end(),
                                  [this](const Member& m) { return m.state == State::Starting && is_current(m); });
  plan.start = trying ? 0 : 1;
}

// Not while they are busy: the engine may still make the version current again and use them.
void InstancePool::end_older_versions() {
  for (auto& member : members_) {
    if (is_current(member) || member.state == State::Draining || member.was_busy) continue;
    const bool known = member.state == State::Ready;
    drain(member);
    if (known) retire_(member.id);
  }
}

scaling::Observations InstancePool::observe(const Workload& work, const Now& now) {
  if (work.runnable + work.blocked + work.in_flight > 0) last_activity_ = now.mono;
  scaling::Observations seen;
  seen.now = now.mono;
  seen.runnable = work.runnable;
  seen.blocked = work.blocked;
  seen.in_flight = work.in_flight;
  seen.service_time = work.service_time;
  seen.held_up = work.held_up;
  seen.last_activity = last_activity_;
  for (const auto& member : members_) {
    if (member.state == State::Draining || !is_current(member)) {
      ++seen.leaving;
      // Their events are not work for the instances that are counted here.
      seen.in_flight -= static_cast<std::int64_t>(outstanding_(member.id).value_or(0));
    } else if (member.state == State::Starting) {
      ++seen.starting;
    } else if (member.was_busy) {
      ++seen.busy;
    } else {
      ++seen.idle;
      if (!seen.longest_idle_since || member.since < *seen.longest_idle_since) seen.longest_idle_since = member.since;
    }
  }
  return seen;
}

void InstancePool::note_idleness(const Now& now) {
  for (auto& member : members_) {
    if (member.state != State::Ready) continue;
    const bool busy = outstanding_(member.id).value_or(0) > 0;
    if (member.was_busy && !busy) member.since = now.mono;
    member.was_busy = busy;
  }
}

void InstancePool::start(std::int32_t count, const Now& now) {
  for (std::int32_t i = 0; i < count; ++i) {
    const InstanceId id = ids_.next();
    members_.push_back({id, spec_->version, State::Starting, now.mono, now.mono});
    share_.begin(id);
    backend_.start(id, spec_, listener_);
  }
}

void InstancePool::drain_idle(std::int32_t count) {
  for (; count > 0; --count) {
    Member* longest = nullptr;
    for (auto& member : members_)
      if (member.state == State::Ready && is_current(member) && !member.was_busy &&
          (longest == nullptr || member.since < longest->since))
        longest = &member;
    if (longest == nullptr) return;
    const InstanceId id = longest->id;
    drain(*longest);
    retire_(id);
  }
}

void InstancePool::drain(Member& member) {
  member.state = State::Draining;
  share_.leave(member.id);
  backend_.drain(member.id);
}

std::optional<Duration> InstancePool::on_ready(InstanceId instance, const Now& now) {
  Member* member = find(instance);
  if (member == nullptr || member->state != State::Starting) return std::nullopt;
  member->state = State::Ready;
  member->since = now.mono;
  share_.ready(instance, now.mono - member->started);
  if (is_current(*member)) {
    start_failure_.reset();
    no_start_before_.reset();
  }
  return now.mono - member->started;
}

void InstancePool::on_outcomes(InstanceId instance) {
  Member* member = find(instance);
  if (member == nullptr) return;
  member->proven = true;
  if (!is_current(*member)) return;
  start_delay_ = Duration::zero();
  for (auto& other : members_) other.overtaken = other.overtaken || is_current(other);
}

void InstancePool::on_ended(const InstanceEnded& ended, const Now& now) {
  const Member* found = find(ended.instance);
  if (found == nullptr) return;
  const Member member = *found;
  std::erase_if(members_, [&](const Member& m) { return m.id == ended.instance; });
  share_.end(ended.instance);
  const bool by_itself = ended.reason != EndReason::Drained && ended.reason != EndReason::Killed;
  if (!by_itself || member.proven || !is_current(member)) return;
  const bool others_run = std::any_of(members_.begin(), members_.end(),
                                      [this](const Member& m) { return m.state == State::Ready && is_current(m); });
  // That it cannot start is not true of a version of which another has started since and done its work.
  if (!others_run && !member.overtaken) start_failure_ = ended;
  // Those that were started together fail together, which counts once.
  if (last_start_failure_ > member.started) return;
  last_start_failure_ = now.mono;
  start_delay_ = std::clamp<Duration>(start_delay_ * 2, kFirstStartDelay, kLongestStartDelay);
  no_start_before_ = now.mono + start_delay_;
}

void InstancePool::give_back(InstanceId instance) {
  Member* member = find(instance);
  if (member == nullptr || member->state != State::Ready) return;
  backend_.recall(instance);
  drain(*member);
}

void InstancePool::drain_all() {
  (void)share_.ask(0, false);
  for (auto& member : members_) {
    if (member.state == State::Draining) continue;
    if (member.state == State::Ready) backend_.recall(member.id);
    drain(member);
  }
}

void InstancePool::kill_all() {
  (void)share_.ask(0, false);
  for (const auto& member : members_) backend_.kill(member.id);
}

std::optional<Version> InstancePool::version_of(InstanceId instance) const {
  for (const auto& member : members_)
    if (member.id == instance) return member.version;
  return std::nullopt;
}

std::size_t InstancePool::ready() const {
  return static_cast<std::size_t>(
      std::count_if(members_.begin(), members_.end(), [](const Member& m) { return m.state == State::Ready; }));
}

}  // namespace dhub::service
