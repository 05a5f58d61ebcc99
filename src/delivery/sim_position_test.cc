// SPDX-License-Identifier: Apache-2.0
// The simulated position: what may happen, the topic and the owners. Its instances: sim_instances_test.cc.
#include "delivery/sim_position.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace dhub::delivery {

SimPosition::SimPosition(SimSettings settings, std::uint64_t seed)
    : settings_(std::move(settings)),
      random_(seed),
      journal_(settings_.partitions, settings_.rules.journal),
      judge_(journal_, settings_.engine.ordering, settings_.engine.current.retry.max_attempts),
      logs_(static_cast<std::size_t>(settings_.partitions)) {
  load();
}

// ---- what may happen ----

void SimPosition::run(const Action& action) {
  trace_.push_back(action.name);
  action.run();
}

void SimPosition::step(std::uint32_t choice) {
  const bool fault = choice % 8 == 0 && faults_ < settings_.faults;
  auto found = fault ? faults() : actions();
  if (found.empty()) found = actions();
  if (found.empty()) return pass_time();
  run(found[(choice / 8) % found.size()]);
}

void SimPosition::heal() {
  healing_ = true;
  if (zombie_) end_zombie();
  owner_->paused = false;
  owner_->engine->set_paused(false, now_, out_);
  carry_out(*owner_);
  for (int steps = 0; steps < 20'000 && !all_done(); ++steps) {
    const auto found = actions();
    if (found.empty()) {
      pass_time();
    } else {
      run(found[random_.below(found.size())]);
    }
    if (!verdict().empty()) return;
  }
  judge_the_end();
}

bool SimPosition::all_done() {
  const bool knows_all = owner_->engine->partitions().size() == logs_.size();
  if (published_ < settings_.events || !knows_all || owner_->sent || !lingering_.empty() || !owner_->engine->drained())
    return false;
  for (std::int32_t p = 0; p < settings_.partitions; ++p)
    if (journal_.cursor(p) != logs_[static_cast<std::size_t>(p)].end().value) return false;
  return std::all_of(instances_.begin(), instances_.end(), [](const auto& i) { return i->tasks.empty() && !i->lost; });
}

// I1, I7, and outputs exactly once.
void SimPosition::judge_the_end() {
  std::map<std::string, int> expected;
  for (std::size_t p = 0; p < logs_.size(); ++p) {
    const auto partition = static_cast<std::int32_t>(p);
    if (!journal_.knows(partition)) {
      judge_.blame("I7: partition {} was never taken up", partition);
      continue;
    }
    if (journal_.cursor(partition) != logs_[p].end().value)
      judge_.blame("I7: the cursor stays at {} of {}", journal_.cursor(partition), logs_[p].end());
    for (std::int64_t offset = 0; offset < logs_[p].end().value; ++offset) {
      const At at{partition, offset};
      const auto state = journal_.state(at);
      if (state == FinalState::None) judge_.blame("I1: offset {} never ended", offset);
      const int outputs = state == FinalState::Succeeded ? plans_.at(at).outputs : 0;
      for (int n = 0; n < outputs; ++n) expected[fmt::format("results orders/{}/{}/{}", partition, offset, n)] = 1;
      if (state == FinalState::DeadLettered) expected[fmt::format("dead orders/{}/{}/dead", partition, offset)] = 1;
    }
  }
  if (expected != journal_.outputs())
    judge_.blame("Out: {} outputs instead of {}", journal_.outputs().size(), expected.size());
  for (const auto& [at, row] : journal_.failures()) judge_.blame("a failure of offset {} is left", at.second);
  if (!owner_->engine->drained()) judge_.blame("I7: the engine is not drained");
}

std::vector<SimPosition::Action> SimPosition::actions() {
  std::vector<Action> found;
  if (published_ < settings_.events) found.push_back({"publish", [this] { publish(); }});
  add_owner_actions(found);
  add_instance_actions(found);
  for (std::size_t i = 0; i < lingering_.size(); ++i)
    found.push_back({fmt::format("late commit {}", lingering_[i].seq), [this, i] {
                       const JournalCommit commit = lingering_[i];
                       lingering_.erase(lingering_.begin() + static_cast<std::ptrdiff_t>(i));
                       (void)apply(commit);
                     }});
  return found;
}

void SimPosition::add_owner_actions(std::vector<Action>& found) {
  for (Owner* owner : owners()) {
    const auto name = [&](const char* what) { return fmt::format("owner {} {}", owner->id, what); };
    if (owner->sent) found.push_back({name("commits"), [this, owner] { apply(*owner); }});
    if (owner->broken) continue;
    for (const PartitionId id : owner->engine->partitions()) {
      const std::int32_t p = id.value;
      const auto from = owner->engine->wants_read(id);
      if (from && *from < logs_[static_cast<std::size_t>(p)].end())
        found.push_back({name("reads"), [this, owner, p] { read(*owner, p); }});
      if (owner->engine->wants_again(id))
        found.push_back({name("reads again"), [this, owner, id] { read_again(*owner, id); }});
    }
  }
  for (Owner* owner : owners())
    if (!owner->broken && owner->engine->partitions().size() < logs_.size())
      found.push_back(
          {fmt::format("owner {} takes a partition up", owner->id), [this, owner] { learn_partition(*owner); }});
  const bool told = owner_->version == pinned_version_;
  if (!told) {
    found.push_back({"switch is told", [this] {
                       owner_->version = pinned_version_;
                       auto settings = settings_.engine.current;
                       settings.version = Version{pinned_version_};
                       owner_->engine->switch_version(settings, now_, out_);
                       carry_out(*owner_);
                     }});
  }
  const auto own = std::count_if(instances_.begin(), instances_.end(), [&](const auto& i) {
    return i->owner == owner_->id && i->version == owner_->version && !i->dead && !i->lost;
  });
  const bool may_start = !settings_.rules.lease_wait || !has_foreign_instances();
  if (may_start && own < settings_.engine.current.max_instances)
    found.push_back({"instance starts", [this] { start_instance(); }});
  if (owner_->engine->wake_at() && random_.below(4) == 0) found.push_back({"time", [this] { pass_time(); }});
}

void SimPosition::add_instance_actions(std::vector<Action>& found) {
  for (const auto& owned : instances_) {
    Instance* instance = owned.get();
    const auto name = [&](const char* what) { return fmt::format("instance {} {}", instance->id, what); };
    const bool orphan = owner_of(*instance) == nullptr;
    if (!instance->dead && !instance->tasks.empty()) {
      if (!instance->begun) {
        found.push_back({name(fmt::format("begins {}", instance->tasks.front().at.second).c_str()),
                         [this, instance] { begin(*instance); }});
      } else {
        found.push_back({name("finishes"), [this, instance] { finish(*instance); }});
      }
    }
    const bool tells = !orphan && !instance->lost && (!instance->outbox.empty() || instance->dead);
    if (tells) found.push_back({name("answers"), [this, instance] { flush(*instance); }});
    if (orphan || instance->lost) found.push_back({name("is gone"), [this, id = instance->id] { end(id); }});
    // Of an old version, or leaving for another reason, and idle: drained.
    const bool leaves = !orphan && (instance->leaving || instance->version < owner_of(*instance)->version);
    if (leaves && !instance->dead && instance->tasks.empty() && instance->outbox.empty() && !instance->lost)
      found.push_back({name("drains"), [this, id = instance->id] { end(id); }});
  }
}

std::vector<SimPosition::Action> SimPosition::faults() {
  std::vector<Action> found;
  found.push_back({"server crashes", [this] { crash(); }});
  if (!zombie_) found.push_back({"another owner takes over", [this] { take_over(); }});
  if (zombie_) found.push_back({"zombie ends", [this] { end_zombie(); }});
  for (Owner* owner : owners()) {
    if (!owner->sent) continue;
    found.push_back({"commit is refused", [this, owner] { answer(*owner, fail(ErrorCode::StorageFull, "full")); }});
    found.push_back({"commit is applied, the answer lost", [this, owner] {
                       (void)apply(JournalCommit(*owner->sent));
                       answer(*owner, fail(ErrorCode::DeadlineExceeded, "lost"));
                     }});
    found.push_back({"commit lingers", [this, owner] {
                       lingering_.push_back(*owner->sent);
                       answer(*owner, fail(ErrorCode::DeadlineExceeded, "late"));
                     }});
  }
  for (const auto& owned : instances_) {
    Instance* instance = owned.get();
    if (instance->dead || owner_of(*instance) == nullptr) continue;
    found.push_back({fmt::format("instance {} dies", instance->id), [this, instance] { die(*instance); }});
    if (!instance->leaving)
      found.push_back({fmt::format("instance {} is to end", instance->id), [this, instance] {
                         instance->leaving = true;
                         owner_of(*instance)->engine->instance_leaving(instance->id);
                         give_back_unbegun(*instance);
                       }});
    if (!instance->lost) {
      found.push_back({fmt::format("host of {} dies", instance->id), [this, instance] {
                         instance->lost = true;
                         instance->outbox.clear();
                         Owner* owner = owner_of(*instance);
                         if (settings_.rules.host_wait) return;
                         owner->engine->instance_ended(instance->id, now_, out_);
                         carry_out(*owner);
                       }});
    }
  }
  if (settings_.more_partitions > 0) found.push_back({"the topic gets a partition", [this] { add_topic_partition(); }});
  found.push_back({"a version is pinned", [this] { ++pinned_version_; }});
  found.push_back({"pause or resume", [this] {
                     owner_->paused = !owner_->paused;
                     owner_->engine->set_paused(owner_->paused, now_, out_);
                     carry_out(*owner_);
                   }});
  auto& log = logs_[random_.below(logs_.size())];
  if (log.end() > log.start()) {
    const auto kept = random_.below(static_cast<std::uint64_t>(log.end().value - log.start().value));
    found.push_back(
        {"retention", [&log, kept] { log.drop_below(Offset{log.end().value - static_cast<std::int64_t>(kept)}); }});
  }
  for (auto& action : found) {
    action.run = [this, act = std::move(action.run)] {
      ++faults_;
      act();
    };
  }
  return found;
}

// ---- the topic ----

void SimPosition::publish() {
  static constexpr Deed kDeeds[] = {Deed::Succeed, Deed::Succeed, Deed::Succeed, Deed::Filter,
                                    Deed::Fail,    Deed::Fail,    Deed::Kill,    Deed::Reject};
  const auto partition = static_cast<std::int32_t>(random_.below(logs_.size()));
  auto& log = logs_[static_cast<std::size_t>(partition)];
  if (random_.below(12) == 0) log.skip(1 + static_cast<std::int64_t>(random_.below(3)));
  Message message;
  const auto key = random_.below(static_cast<std::uint64_t>(settings_.keys) + 2);
  if (key > 0) message.key = key == 1 ? "" : fmt::format("k{}", key);
  message.value = fmt::format("event {}", published_++);
  const At at{partition, log.append(message).value};
  Plan plan;
  plan.deed = kDeeds[random_.below(std::size(kDeeds))];
  plan.times = 1 + static_cast<int>(random_.below(5));
  plan.outputs = static_cast<int>(random_.below(3));
  plans_[at] = plan;
  judge_.published(at, message);
}

void SimPosition::add_topic_partition() {
  --settings_.more_partitions;
  ++settings_.partitions;
  logs_.emplace_back();
}

// As an owner does it: in the journal first, then in the engine.
void SimPosition::learn_partition(Owner& owner) {
  const auto fresh = static_cast<std::int32_t>(owner.engine->partitions().size());
  const bool current = &owner == &*owner_;
  if (!journal_.add_partition(owner.epoch, fresh)) {
    if (current) judge_.blame("the owner may not add partition {}", fresh);
    owner.broken = true;
    return;
  }
  if (!current) judge_.blame("I9: an old owner has added partition {}", fresh);
  owner.engine->add_partition({PartitionId{fresh}, {}, {}, {}, {}, {}}, now_);
  owner.engine->tick(now_, out_);
  carry_out(owner);
}

ReadChunk SimPosition::chunk(std::int32_t partition, Offset from, std::size_t most) const {
  auto read = logs_[static_cast<std::size_t>(partition)].read(from, most);
  if (!settings_.rules.log_start_true) read.log_start = read.next_offset;
  return read;
}

void SimPosition::read(Owner& owner, std::int32_t partition) {
  const auto from = owner.engine->wants_read(PartitionId{partition});
  owner.engine->records(PartitionId{partition}, chunk(partition, *from, 1 + random_.below(6)), now_, out_);
  carry_out(owner);
}

void SimPosition::read_again(Owner& owner, PartitionId partition) {
  const auto from = owner.engine->wants_again(partition);
  owner.engine->records_again(partition, chunk(partition.value, *from, 1 + random_.below(6)), now_, out_);
  carry_out(owner);
}

// ---- owners ----

void SimPosition::load() {
  LoadedPosition loaded = journal_.load();
  if (!settings_.rules.failures_loaded) loaded.failures.clear();
  Owner owner;
  owner.id = ++next_owner_;
  owner.epoch = loaded.owner_epoch.value;
  owner.version = pinned_version_;
  EngineSettings settings = settings_.engine;
  settings.current.version = Version{pinned_version_};
  settings.seed = random_.next();
  owner.engine = std::make_unique<Engine>(settings, std::move(loaded), now_);
  owner_ = std::move(owner);
  out_.clear();
  owner_->engine->tick(now_, out_);
  carry_out(*owner_);
}

void SimPosition::disown(int owner) {
  for (const auto& instance : instances_) {
    if (instance->owner != owner) continue;
    instance->owner = -1;
    if (instance->begun) judge_.orphaned(instance->tasks.front().at);
  }
  std::erase_if(instances_, [](const auto& i) { return i->owner < 0 && i->dead; });
}

void SimPosition::crash() {
  if (owner_->sent) lingering_.push_back(*owner_->sent);
  disown(owner_->id);
  load();
}

// The old owner is only paused: it goes on with what it has, until it ends.
void SimPosition::take_over() {
  for (const auto& instance : instances_)
    if (instance->begun) judge_.orphaned(instance->tasks.front().at);
  zombie_ = std::move(owner_);
  load();
}

void SimPosition::end_zombie() {
  if (zombie_->sent) lingering_.push_back(*zombie_->sent);
  disown(zombie_->id);
  zombie_.reset();
}

Result<CommitAnswer> SimPosition::apply(const JournalCommit& commit) {
  JournalCommit kept = commit;
  if (!settings_.rules.reservation_kept)
    for (auto& partition : kept.partitions)
      partition.dispatched_through = Offset{journal_.dispatched_through(partition.partition.value)};
  const bool fits = commit.owner_epoch.value == journal_.epoch();
  if (fits) judge_.stores(commit, logs_);
  auto answer = journal_.apply(kept);
  judge_.stored(faults_);
  return answer;
}

void SimPosition::apply(Owner& owner) {
  const auto result = apply(JournalCommit(*owner.sent));
  answer(owner, result);
}

void SimPosition::answer(Owner& owner, const Result<CommitAnswer>& answer) {
  const CommitSeq seq = owner.sent->seq;
  owner.sent.reset();
  owner.engine->commit_answered(seq, answer, now_, out_);
  carry_out(owner);
}

void SimPosition::carry_out(Owner& owner) {
  std::vector<Dispatch> dispatches(out_.dispatches.begin(),
                                   out_.dispatches.begin() + static_cast<std::ptrdiff_t>(out_.dispatch_count));
  for (const auto& dispatch : dispatches) deliver(owner, dispatch);
  for (const InstanceId id : out_.recalls)
    if (Instance* instance = find(id); instance != nullptr && !instance->dead && settings_.rules.recalls_heard)
      give_back_unbegun(*instance);
  if (out_.commit) {
    if (owner.sent) judge_.blame("OneCommit: two commits at a time");
    owner.sent = *out_.commit;
    if (!settings_.rules.same_batch && faults_ > 0 && owner.sent->finished.size() > 1) owner.sent->finished.pop_back();
    judge_.sends(*owner.sent);
  }
  if (out_.broken) {
    owner.broken = true;
    const bool expected = out_.broken->code == ErrorCode::Fenced && &owner != &*owner_;
    if (!expected) judge_.blame("the engine broke: {}", out_.broken->message);
  }
  const auto demand = owner.engine->demand();
  owner.engine->set_wanted(
      static_cast<std::int32_t>(std::min<std::int64_t>(demand.runnable + 1, settings_.engine.current.max_instances)));
  if (demand.in_flight > owner.engine->in_flight_bound()) judge_.blame("{} are in flight", demand.in_flight);
  out_.clear();
}

void SimPosition::deliver(Owner& owner, const Dispatch& dispatch) {
  Instance* instance = find(dispatch.instance);
  if (owner.paused) judge_.blame("a paused engine dispatches");
  for (const auto& delivery : dispatch.frame) {
    const At at{delivery.run.partition.value, delivery.run.offset.value};
    judge_.dispatched(at, delivery.id, delivery.attempt, &owner == &*owner_);
    if (instance == nullptr) continue;
    if (instance->leaving) judge_.blame("an instance that is to end gets offset {}", at.second);
    const Task task{delivery.id, at, delivery.chain, std::string(delivery.results)};
    const auto own = fmt::format("of {}/{} by {}", at.first, at.second, instance->version);
    if (!task.results.empty() && (task.results != own || delivery.step != 1))
      judge_.blame("offset {} resumes with results {}", at.second, task.results);
    if (instance->lost) continue;
    if (instance->dead) {
      instance->outbox.push_back(outcome_of(*instance, task, OutcomeKind::NotStarted));
    } else {
      instance->tasks.push_back(task);
    }
  }
}

void SimPosition::pass_time() {
  Duration wait = milliseconds(10);
  if (const auto at = owner_->engine->wake_at()) wait = std::max(*at - now_.mono, Duration(1));
  now_.mono += wait;
  now_.wall.ms += std::chrono::duration_cast<milliseconds>(wait).count();
  for (Owner* owner : owners()) {
    owner->engine->tick(now_, out_);
    carry_out(*owner);
  }
}

}  // namespace dhub::delivery
