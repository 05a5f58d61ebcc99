// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_backend.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"

namespace dhub::simulation {
namespace {

bool kills(OutcomeKind kind) {
  return kind == OutcomeKind::Crashed || kind == OutcomeKind::TimedOut || kind == OutcomeKind::OutOfMemory;
}

EndReason end_of(OutcomeKind kind) {
  if (kind == OutcomeKind::TimedOut) return EndReason::TimedOut;
  return kind == OutcomeKind::OutOfMemory ? EndReason::OutOfMemory : EndReason::Crashed;
}

}  // namespace

SimBackend::Instance* SimBackend::find(InstanceId id) {
  const auto found = instances_.find(id);
  return found == instances_.end() ? nullptr : &found->second;
}

Duration SimBackend::between(Duration least, Duration most) {
  const auto spread = static_cast<std::uint64_t>(std::max<std::int64_t>((most - least).count(), 0) + 1);
  return least + Duration{static_cast<std::int64_t>(random_.below(spread))};
}

// Words to an instance arrive in order, and only at one that still lives.
void SimBackend::word_in(InstanceId id, std::function<void(Instance&)> heard) {
  Instance* instance = find(id);
  if (instance == nullptr) return;
  const Instant when = scheduler_.now().mono + between(Duration::zero(), faults_.way_most);
  instance->last_word_in = std::max(instance->last_word_in, when);
  scheduler_.at(instance->last_word_in, [this, id, heard = std::move(heard)] {
    Instance* there = find(id);
    if (there != nullptr && !there->dead) heard(*there);
  });
}

// Words from an instance arrive in order, whatever became of it.
void SimBackend::word_out(InstanceId id, std::function<void(Instance&)> told) {
  Instance* instance = find(id);
  CHECK(instance != nullptr);
  const Instant when = scheduler_.now().mono + between(Duration::zero(), faults_.way_most);
  instance->last_word_out = std::max(instance->last_word_out, when);
  scheduler_.at(instance->last_word_out, [this, id, told = std::move(told)] {
    if (Instance* there = find(id)) told(*there);
  });
}

void SimBackend::start(InstanceId id, InstanceSpecRef spec, ComputeListener& listener) {
  if (find(id) != nullptr) observer_.misused("an instance id was used twice");
  Instance& instance = instances_[id];
  instance.spec = std::move(spec);
  instance.listener = &listener;
  observer_.instance_started(id, *instance.spec);
  scheduler_.at(scheduler_.now().mono + between(faults_.start_least, faults_.start_most), [this, id] {
    Instance* there = find(id);
    if (there != nullptr && !there->dead) became_ready(id, *there);
  });
}

void SimBackend::became_ready(InstanceId id, Instance& instance) {
  const bool fails = faults_.broken_pipelines.contains(instance.spec->pipeline_id) ||
                     (faults_.fail_start > 0 && random_.unit() < faults_.fail_start);
  if (fails) return end(id, instance, EndReason::FailedToStart, "ImportError: no module named 'nothing'");
  instance.ready = true;
  word_out(id, [id](Instance& there) {
    if (!there.dead) there.listener->on_ready(id);
  });
  go_on(id, instance);
}

void SimBackend::deliver(InstanceId id, const std::vector<Delivery>& frame) {
  Instance* instance = find(id);
  if (instance == nullptr || instance->drain_asked || frame.empty())
    observer_.misused(fmt::format("{} events were given to instance {}, which cannot take them", frame.size(), id));
  if (instance == nullptr) return;
  std::vector<Work> works;
  for (const auto& delivery : frame) {
    observer_.delivered(id, *instance->spec, delivery);
    Work work;
    work.execution = {id,
                      instance->spec->pipeline_id,
                      instance->spec->version,
                      delivery.id,
                      delivery.run,
                      delivery.attempt,
                      std::string(delivery.topic),
                      {},
                      ""};
    if (delivery.record.key) work.execution.key = std::string(*delivery.record.key);
    work.execution.value = std::string(delivery.record.value.value_or(""));
    work.chain = delivery.chain;
    work.behaviour = behaviour_of(work.execution.value, delivery.attempt);
    works.push_back(std::move(work));
  }
  if (instance->dead) {
    // The host answers for it, before it tells of the end.
    for (const auto& work : works) instance->unsent.push_back(outcome_of(work, OutcomeKind::NotStarted, ""));
    return;
  }
  instance->arriving.push_back(std::move(works));
  word_in(id, [this, id](Instance& there) {
    there.queue.insert(there.queue.end(), there.arriving.front().begin(), there.arriving.front().end());
    there.arriving.pop_front();
    go_on(id, there);
  });
}

void SimBackend::go_on(InstanceId id, Instance& instance) {
  if (instance.dead || !instance.ready) return;
  const auto at_once = static_cast<std::size_t>(std::max(instance.spec->concurrency, 1));
  while (!instance.queue.empty() && instance.running.size() < at_once) {
    Work work = std::move(instance.queue.front());
    instance.queue.pop_front();
    if (work.chain != 0 && instance.failed_chains.contains(work.chain)) {
      instance.unsent.push_back(outcome_of(work, OutcomeKind::NotStarted, ""));
      send(id, instance);
      continue;
    }
    begin(id, instance, std::move(work));
  }
  if (instance.draining && instance.queue.empty() && instance.running.empty())
    end(id, instance, EndReason::Drained, "");
}

void SimBackend::begin(InstanceId id, Instance& instance, Work work) {
  if (faults_.crash > 0 && random_.unit() < faults_.crash) work.behaviour.kind = OutcomeKind::Crashed;
  Duration takes = work.behaviour.takes.value_or(between(faults_.service_least, faults_.service_most));
  const bool late = takes >= instance.spec->timeout || work.behaviour.kind == OutcomeKind::TimedOut;
  if (late) {
    work.behaviour.kind = OutcomeKind::TimedOut;
    takes = instance.spec->timeout;
  }
  work.since = scheduler_.now().mono;
  observer_.begun(work.execution);
  const DeliveryId delivery = work.execution.delivery;
  work.timer = scheduler_.at(work.since + takes, [this, id, delivery] { finish(id, delivery); });
  instance.running.push_back(std::move(work));
}

Outcome SimBackend::outcome_of(const Work& work, OutcomeKind kind, std::string error) {
  Outcome outcome;
  outcome.delivery = work.execution.delivery;
  outcome.kind = kind;
  outcome.error = std::move(error);
  return outcome;
}

void SimBackend::finish(InstanceId id, DeliveryId delivery) {
  Instance* instance = find(id);
  if (instance == nullptr || instance->dead) return;
  const auto found = std::find_if(instance->running.begin(), instance->running.end(),
                                  [&](const Work& work) { return work.execution.delivery == delivery; });
  CHECK(found != instance->running.end());
  const Work work = std::move(*found);
  instance->running.erase(found);
  const OutcomeKind kind = work.behaviour.kind;
  observer_.finished(work.execution, kind);
  Outcome outcome = outcome_of(work, kind, "");
  if (kind != OutcomeKind::Succeeded && kind != OutcomeKind::Filtered)
    outcome.error = fmt::format("{}: {}", to_string(kind), work.execution.value);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(scheduler_.now().mono - work.since);
  outcome.duration_us = static_cast<std::uint32_t>(std::min<std::int64_t>(took.count(), 0xffffffff));
  outcome.retry_after = work.behaviour.retry_after;
  if (kind == OutcomeKind::Succeeded)
    for (const auto& topic : work.behaviour.publishes_to)
      outcome.publications.push_back(
          {topic,
           {work.execution.key,
            {},
            fmt::format("from {} {}", work.execution.pipeline_id, to_string(work.execution.run)),
            {}}});
  const bool good = kind == OutcomeKind::Succeeded || kind == OutcomeKind::Filtered;
  if (!good && !faults_.lies.break_chains) instance->failed_chains.insert(work.chain);
  if (good && lies(faults_.lies.run_twice)) {
    observer_.begun(work.execution);
    observer_.finished(work.execution, kind);
  }
  if (!good && faults_.lies.call_failures_good) outcome.kind = OutcomeKind::Succeeded;
  if (kills(kind) || !lies(faults_.lies.lose_outcome)) instance->unsent.push_back(std::move(outcome));
  if (kills(kind)) return end(id, *instance, end_of(kind), "killed by signal 11 (SIGSEGV)");
  send(id, *instance);
  go_on(id, *instance);
}

// Outcomes gather while a word is on its way.
void SimBackend::send(InstanceId id, Instance& instance) {
  if (std::exchange(instance.sending, true)) return;
  word_out(id, [id](Instance& there) {
    there.sending = false;
    if (!there.unsent.empty()) there.listener->on_outcomes(id, std::exchange(there.unsent, {}));
  });
}

void SimBackend::give_back(Instance& instance) {
  for (const auto& work : instance.queue) {
    const bool blamed = instance.dead && lies(faults_.lies.blame_neighbours);
    instance.unsent.push_back(outcome_of(work, blamed ? OutcomeKind::Crashed : OutcomeKind::NotStarted, ""));
  }
  instance.queue.clear();
}

// The process is gone now; the server hears of it after all that it had to say.
void SimBackend::end(InstanceId id, Instance& instance, EndReason reason, const std::string& detail) {
  instance.dead = true;
  if (!lies(faults_.lies.outlive)) observer_.instance_gone(id, reason);
  for (auto& work : instance.running) {
    scheduler_.cancel(work.timer);
    observer_.cut_short(work.execution);
    // Of several that had begun nobody can say which one it was.
    const auto kind = reason == EndReason::Killed ? OutcomeKind::Crashed : OutcomeKind::NotStarted;
    instance.unsent.push_back(outcome_of(work, kind, "killed by the server"));
  }
  instance.running.clear();
  give_back(instance);
  for (const auto& frame : std::exchange(instance.arriving, {}))
    for (const auto& work : frame) instance.unsent.push_back(outcome_of(work, OutcomeKind::NotStarted, ""));
  word_out(id, [this, id, reason, detail](Instance& there) {
    ComputeListener& listener = *there.listener;
    if (reason == EndReason::HostLost)
      for (const auto& outcome : std::exchange(there.unsent, {}))
        observer_.outcome_lost(there.spec->pipeline_id, outcome.delivery);
    if (!there.unsent.empty()) listener.on_outcomes(id, std::exchange(there.unsent, {}));
    instances_.erase(id);
    listener.on_ended({id, reason, detail, ""});
  });
}

void SimBackend::recall(InstanceId id) {
  word_in(id, [this, id](Instance& there) {
    if (there.queue.empty()) return;
    give_back(there);
    send(id, there);
    go_on(id, there);
  });
}

void SimBackend::drain(InstanceId id) {
  if (Instance* instance = find(id)) instance->drain_asked = true;
  word_in(id, [this, id](Instance& there) {
    if (faults_.lies.keep_drained) return;
    there.draining = true;
    if (!there.ready) return end(id, there, EndReason::Drained, "");
    go_on(id, there);
  });
}

void SimBackend::kill(InstanceId id) {
  if (Instance* instance = find(id)) instance->drain_asked = true;
  word_in(id, [this, id](Instance& there) { end(id, there, EndReason::Killed, "killed by the server"); });
}

void SimBackend::crash(InstanceId id) {
  Instance* instance = find(id);
  if (instance == nullptr || instance->dead) return;
  if (instance->running.empty()) return end(id, *instance, EndReason::Crashed, "killed by signal 9 (SIGKILL)");
  // Under an event: that one is charged.
  instance->running.front().behaviour.kind = OutcomeKind::Crashed;
  scheduler_.cancel(instance->running.front().timer);
  finish(id, instance->running.front().execution.delivery);
}

void SimBackend::lose_host() {
  for (const InstanceId id : instances()) {
    Instance* instance = find(id);
    if (instance != nullptr && !instance->dead) end(id, *instance, EndReason::HostLost, "the runner is gone");
  }
}

std::vector<InstanceId> SimBackend::instances() const {
  std::vector<InstanceId> ids;
  for (const auto& [id, instance] : instances_) ids.push_back(id);
  return ids;
}

std::size_t SimBackend::alive(const std::string& pipeline_id, std::optional<Version> version) const {
  std::size_t count = 0;
  for (const auto& [id, instance] : instances_)
    if (!instance.dead && instance.spec->pipeline_id == pipeline_id && (!version || instance.spec->version == *version))
      ++count;
  return count;
}

std::size_t SimBackend::alive() const {
  std::size_t count = 0;
  for (const auto& [id, instance] : instances_) count += instance.dead ? 0 : 1;
  return count;
}

}  // namespace dhub::simulation
