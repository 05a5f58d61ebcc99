// SPDX-License-Identifier: Apache-2.0
#include "service/instance_pool.h"

#include <algorithm>
#include <utility>

namespace dhub::service {
namespace {

constexpr Duration kFirstStartDelay = std::chrono::seconds(1);
constexpr Duration kLongestStartDelay = std::chrono::seconds(30);

}  // namespace

InstancePool::InstancePool(ComputeBackend& backend, ComputeListener& listener, InstanceIds& ids,
                           Outstanding outstanding, Retire retire)
    : backend_(backend),
      listener_(listener),
      ids_(ids),
      outstanding_(std::move(outstanding)),
      retire_(std::move(retire)) {}

void InstancePool::use(InstanceSpecRef spec, const Scaling& scaling) {
  spec_ = std::move(spec);
  scaling_ = scaling;
  start_failure_.reset();
  no_start_before_.reset();
  start_delay_ = Duration::zero();
  for (auto& member : members_)
    if (member.version != spec_->version && member.state != State::Draining) drain(member);
}

InstancePool::Member* InstancePool::find(InstanceId instance) {
  for (auto& member : members_)
    if (member.id == instance) return &member;
  return nullptr;
}

std::optional<Instant> InstancePool::rescale(const Workload& work, const Now& now) {
  const auto seen = observe(work, now);
  auto plan = scaling::decide(seen, scaling_);
  if (plan.start > 0 && no_start_before_ && now.mono < *no_start_before_) {
    plan.start = 0;
    plan.reconsider_at = plan.reconsider_at ? std::min(*plan.reconsider_at, *no_start_before_) : *no_start_before_;
  }
  // The sentence is made when the decision changes, not for every event.
  if (plan.wanted != wanted_ || plan.start > 0 || plan.drain_idle > 0) reason_ = scaling::explain(seen, scaling_, plan);
  wanted_ = plan.wanted;
  start(plan.start, now);
  drain_idle(plan.drain_idle);
  return plan.reconsider_at;
}

scaling::Observations InstancePool::observe(const Workload& work, const Now& now) {
  note_idleness(now);
  if (work.runnable + work.blocked + work.in_flight > 0) last_activity_ = now.mono;
  scaling::Observations seen;
  seen.now = now.mono;
  seen.runnable = work.runnable;
  seen.blocked = work.blocked;
  seen.in_flight = work.in_flight;
  seen.service_time = work.service_time;
  seen.last_activity = last_activity_;
  for (const auto& member : members_) {
    if (member.state == State::Draining) {
      ++seen.leaving;
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
    members_.push_back({id, spec_->version, State::Starting, now.mono, false});
    backend_.start(id, spec_, listener_);
  }
}

void InstancePool::drain_idle(std::int32_t count) {
  for (; count > 0; --count) {
    Member* longest = nullptr;
    for (auto& member : members_)
      if (member.state == State::Ready && !member.was_busy && (longest == nullptr || member.since < longest->since))
        longest = &member;
    if (longest == nullptr) return;
    const InstanceId id = longest->id;
    drain(*longest);
    retire_(id);
  }
}

void InstancePool::drain(Member& member) {
  member.state = State::Draining;
  backend_.drain(member.id);
}

std::optional<Duration> InstancePool::on_ready(InstanceId instance, const Now& now) {
  Member* member = find(instance);
  start_failure_.reset();
  start_delay_ = Duration::zero();
  no_start_before_.reset();
  if (member == nullptr || member->state != State::Starting) return std::nullopt;
  const Duration took = now.mono - member->since;
  member->state = State::Ready;
  member->since = now.mono;
  return took;
}

void InstancePool::on_ended(const InstanceEnded& ended, const Now& now) {
  const Member* member = find(ended.instance);
  const bool current = member != nullptr && spec_ && member->version == spec_->version;
  const bool never_ready = member != nullptr && member->state == State::Starting;
  std::erase_if(members_, [&](const Member& m) { return m.id == ended.instance; });
  const bool failed = ended.reason == EndReason::FailedToStart || (ended.reason == EndReason::HostLost && never_ready);
  if (!failed || !current) return;
  start_failure_ = ended;
  start_delay_ = std::clamp<Duration>(start_delay_ * 2, kFirstStartDelay, kLongestStartDelay);
  no_start_before_ = now.mono + start_delay_;
}

void InstancePool::drain_all() {
  for (auto& member : members_)
    if (member.state != State::Draining) drain(member);
}

void InstancePool::kill_all() {
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
