// SPDX-License-Identifier: Apache-2.0
// The instances of the simulated position.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "delivery/sim_position.h"

namespace dhub::delivery {

SimPosition::Owner* SimPosition::owner_of(const Instance& instance) {
  for (Owner* owner : owners())
    if (owner->id == instance.owner) return owner;
  return nullptr;
}

std::vector<SimPosition::Owner*> SimPosition::owners() {
  std::vector<Owner*> found{&*owner_};
  if (zombie_) found.push_back(&*zombie_);
  return found;
}

SimPosition::Instance* SimPosition::find(InstanceId id) {
  for (const auto& instance : instances_)
    if (instance->id == id) return instance.get();
  return nullptr;
}

bool SimPosition::has_foreign_instances() const {
  return std::any_of(instances_.begin(), instances_.end(), [&](const auto& i) { return i->owner != owner_->id; });
}

void SimPosition::start_instance() {
  auto instance = std::make_unique<Instance>();
  instance->id = InstanceId{++next_instance_};
  instance->owner = owner_->id;
  instance->version = owner_->version;
  instances_.push_back(std::move(instance));
  owner_->engine->instance_ready(instances_.back()->id, Version{owner_->version}, now_, out_);
  carry_out(*owner_);
}

void SimPosition::begin(Instance& instance) {
  const Task& task = instance.tasks.front();
  instance.begun = true;
  const Owner* owner = owner_of(instance);
  const std::int32_t told = owner == nullptr ? 0 : owner->version;
  const auto is_gone = [&](At at) {
    if (logs_[static_cast<std::size_t>(at.first)].find(Offset{at.second}) != nullptr) return false;
    if (owner == nullptr) return true;
    const Backlog& backlog = owner->engine->backlog();
    const Window* window = &backlog.window(backlog.index_of(PartitionId{at.first}).value());
    return window->holds(Offset{at.second}) && window->at(Offset{at.second}).final_state == FinalState::Expired;
  };
  judge_.begins(task.at, instance.version, told, owner != &*owner_, is_gone);
}

Outcome SimPosition::outcome_of(const Instance& instance, const Task& task, OutcomeKind kind) const {
  Outcome outcome;
  outcome.delivery = task.id;
  outcome.kind = kind;
  outcome.duration_us = 1000;
  const Plan& plan = plans_.at(task.at);
  for (int n = 0; n < plan.outputs; ++n) {
    Publication publication{"results", {}};
    publication.message.value = fmt::format("{}/{}/{}", task.at.first, task.at.second, n);
    outcome.publications.push_back(std::move(publication));
  }
  if (kind != OutcomeKind::Failed) return outcome;
  outcome.error = "failed";
  outcome.step = 1;
  outcome.results = fmt::format("of {}/{} by {}", task.at.first, task.at.second, instance.version);
  if (plan.times % 2 == 0) outcome.retry_after = milliseconds(300);
  return outcome;
}

void SimPosition::finish(Instance& instance) {
  const Task task = instance.tasks.front();
  const Plan& plan = plans_.at(task.at);
  const bool again = judge_.failed_runs(task.at) < plan.times;
  if (plan.deed == Deed::Kill && again) return die(instance);
  instance.tasks.pop_front();
  instance.begun = false;
  OutcomeKind kind = OutcomeKind::Succeeded;
  if (plan.deed == Deed::Filter) kind = OutcomeKind::Filtered;
  if (plan.deed == Deed::Fail && again) kind = OutcomeKind::Failed;
  if (plan.deed == Deed::Reject) kind = OutcomeKind::Rejected;
  const bool ok = kind == OutcomeKind::Succeeded || kind == OutcomeKind::Filtered;
  judge_.ends(task.at, ok);
  instance.outbox.push_back(outcome_of(instance, task, kind));
  if (!ok) cut_chain(instance, task.chain);
}

void SimPosition::cut_chain(Instance& instance, std::uint16_t chain) {
  if (chain == 0) return;
  std::deque<Task> rest;
  for (const auto& task : instance.tasks) {
    if (task.chain == chain) {
      instance.outbox.push_back(outcome_of(instance, task, OutcomeKind::NotStarted));
    } else {
      rest.push_back(task);
    }
  }
  instance.tasks = std::move(rest);
}

void SimPosition::give_back_unbegun(Instance& instance) {
  std::deque<Task> kept;
  if (instance.begun) {
    kept.push_back(instance.tasks.front());
    instance.tasks.pop_front();
  }
  for (const auto& task : instance.tasks)
    instance.outbox.push_back(outcome_of(instance, task, OutcomeKind::NotStarted));
  instance.tasks = std::move(kept);
}

void SimPosition::die(Instance& instance) {
  give_back_unbegun(instance);
  if (instance.begun) {
    const Task task = instance.tasks.front();
    judge_.ends(task.at, false);
    instance.outbox.push_back(outcome_of(instance, task, OutcomeKind::Crashed));
  }
  if (!settings_.rules.page_names)
    for (auto& outcome : instance.outbox)
      if (outcome.kind == OutcomeKind::NotStarted) outcome.kind = OutcomeKind::Crashed;
  instance.tasks.clear();
  instance.begun = false;
  instance.dead = true;
}

void SimPosition::flush(Instance& instance) {
  Owner& owner = *owner_of(instance);
  const InstanceId id = instance.id;
  std::vector<Outcome> outcomes;
  if (!settings_.rules.outcomes_in_order && instance.outbox.size() > 1) {
    outcomes.push_back(std::move(instance.outbox.back()));
    instance.outbox.pop_back();
  } else {
    outcomes = std::exchange(instance.outbox, {});
  }
  if (!settings_.rules.results_named && outcomes.size() > 1)
    std::swap(outcomes.front().delivery, outcomes.back().delivery);
  const bool ends = instance.dead && instance.outbox.empty();
  owner.engine->outcomes(id, std::move(outcomes), now_, out_);
  carry_out(owner);
  if (ends) end(id);
}

// Its process is gone.
void SimPosition::end(InstanceId id) {
  Instance* instance = find(id);
  if (instance->begun) judge_.vanishes(instance->tasks.front().at);
  Owner* owner = owner_of(*instance);
  std::erase_if(instances_, [&](const auto& i) { return i->id == id; });
  if (owner == nullptr) return;
  owner->engine->instance_ended(id, now_, out_);
  carry_out(*owner);
}

}  // namespace dhub::delivery
