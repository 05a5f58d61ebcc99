// SPDX-License-Identifier: Apache-2.0
// The simulated position, and the proof that its judge sees: each rule of the world is broken once.
#include "delivery/sim_position.h"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
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
    if (!owner->fetches.empty()) found.push_back({name("fetches"), [this, owner] { answer_fetch(*owner); }});
    for (const PartitionId id : owner->engine->partitions()) {
      const std::int32_t p = id.value;
      const auto from = owner->engine->wants_read(id);
      if (from && *from < logs_[static_cast<std::size_t>(p)].end())
        found.push_back({name("reads"), [this, owner, p] { read(*owner, p); }});
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
    // Of an old version and idle: drained.
    const bool old = !orphan && instance->version < owner_of(*instance)->version;
    if (old && !instance->dead && instance->tasks.empty() && instance->outbox.empty() && !instance->lost)
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

void SimPosition::answer_fetch(Owner& owner) {
  const Fetch wanted = owner.fetches.front();
  owner.fetches.pop_front();
  const auto read = chunk(wanted.partition.value, wanted.offset, 1 + random_.below(6));
  owner.engine->fetched(wanted.partition, wanted.offset, read, now_, out_);
  carry_out(owner);
}

// ---- instances ----

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
    const Window* window = owner->engine->window(PartitionId{at.first});
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
    owner.sent = std::move(*out_.commit);
    if (!settings_.rules.same_batch && faults_ > 0 && owner.sent->finished.size() > 1) owner.sent->finished.pop_back();
    judge_.sends(*owner.sent);
  }
  owner.fetches.insert(owner.fetches.end(), out_.fetches.begin(), out_.fetches.end());
  if (out_.broken) {
    owner.broken = true;
    const bool expected = out_.broken->code == ErrorCode::Fenced && &owner != &*owner_;
    if (!expected) judge_.blame("the engine broke: {}", out_.broken->message);
  }
  const auto demand = owner.engine->demand();
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

// ---- tests of the simulation itself ----

namespace {

SimSettings small_world() {
  SimSettings settings;
  settings.engine.topic = "orders";
  settings.engine.current.version = Version{1};
  settings.engine.current.step_names = {"first", "second"};
  settings.engine.current.retry = {2, Backoff::Constant, milliseconds(500), milliseconds(500), false, false};
  settings.engine.current.dead_letter_topic = "dead";
  settings.engine.current.max_instances = 2;
  settings.engine.limits.frame_events = 3;
  settings.engine.limits.frame_work = milliseconds(100);
  settings.engine.limits.reserve_step = 4;
  return settings;
}

struct Played {
  std::string verdict;
  std::vector<std::string> trace;
};

Played play(const SimSettings& settings, std::uint64_t seed) {
  SimPosition position(settings, seed);
  Random choices(seed + 1'000'000);
  for (int i = 0; i < 150 && position.verdict().empty(); ++i)
    position.step(static_cast<std::uint32_t>(choices.below(1 << 20)));
  if (position.verdict().empty()) position.heal();
  return {position.verdict(), position.trace()};
}

// The first verdict that begins with one of `expected` in up to 3000 seeds.
std::string first_blame(const SimSettings& settings, const std::vector<std::string>& expected) {
  std::string others;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    const auto verdict = play(settings, seed).verdict;
    if (verdict.empty()) continue;
    for (const auto& start : expected)
      if (verdict.starts_with(start)) return start;
    others = verdict;
  }
  return "only: " + others;
}

TEST(SimPosition, SameSeedIsTheSameTrace) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto first = play(small_world(), seed);
    EXPECT_EQ(first.trace, play(small_world(), seed).trace) << seed;
    EXPECT_EQ(first.verdict, "") << seed;
    EXPECT_GT(first.trace.size(), 50U);
  }
  EXPECT_NE(play(small_world(), 1).trace, play(small_world(), 2).trace);
}

TEST(SimPosition, TrueWorldIsNeverBlamed) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const auto played = play(small_world(), seed);
    std::string trace;
    if (!played.verdict.empty())
      for (const auto& line : played.trace) trace += line + "\n";
    ASSERT_EQ(played.verdict, "") << "seed " << seed << "\n" << trace;
  }
}

// ---- canaries: one rule of the world is broken, the judge must see it ----

TEST(SimCanary, WithoutFenceAStaleOwnerCommits) {
  auto world = small_world();
  world.rules.journal.fence = false;
  world.rules.journal.seq_check = false;
  EXPECT_EQ(first_blame(world, {"I9"}), "I9");
}

TEST(SimCanary, WithoutSeqCheckALateCommitAppliesTwice) {
  auto world = small_world();
  world.rules.journal.seq_check = false;
  EXPECT_EQ(first_blame(world, {"I1"}), "I1");
}

TEST(SimCanary, WithoutSameBatchAnOutcomeIsLost) {
  auto world = small_world();
  world.rules.same_batch = false;
  EXPECT_EQ(first_blame(world, {"I4", "I1"}).substr(0, 1), "I");
}

TEST(SimCanary, WithoutLeaseWaitRunsOverlap) {
  auto world = small_world();
  world.rules.lease_wait = false;
  EXPECT_EQ(first_blame(world, {"I3"}), "I3");
}

TEST(SimCanary, WithoutHostWaitRunsOverlap) {
  auto world = small_world();
  world.rules.host_wait = false;
  EXPECT_EQ(first_blame(world, {"I3"}), "I3");
}

TEST(SimCanary, WithoutPageNamesAnInnocentIsCharged) {
  auto world = small_world();
  world.rules.page_names = false;
  EXPECT_EQ(first_blame(world, {"I6"}), "I6");
}

TEST(SimCanary, WithoutRecallTheOldVersionGoesOn) {
  auto world = small_world();
  world.rules.recalls_heard = false;
  EXPECT_EQ(first_blame(world, {"ChainCut"}), "ChainCut");
}

TEST(SimCanary, WithoutAStoredReservationDispatchPassesIt) {
  auto world = small_world();
  world.rules.reservation_kept = false;
  EXPECT_EQ(first_blame(world, {"ReserveFirst"}), "ReserveFirst");
}

TEST(SimCanary, OutcomesOutOfOrderBreakTheOrderOfAKey) {
  auto world = small_world();
  world.rules.outcomes_in_order = false;
  EXPECT_EQ(first_blame(world, {"I3"}), "I3");
}

TEST(SimCanary, WithAFalseLogStartEventsAreWrittenOff) {
  auto world = small_world();
  world.rules.log_start_true = false;
  EXPECT_EQ(first_blame(world, {"ExpireGone"}), "ExpireGone");
}

TEST(SimCanary, WithoutLoadedFailuresChargesAreForgotten) {
  auto world = small_world();
  world.rules.failures_loaded = false;
  EXPECT_EQ(first_blame(world, {"I6"}), "I6");
}

TEST(SimCanary, OutcomesUnderAnothersNumberAreSeen) {
  auto world = small_world();
  world.rules.results_named = false;
  EXPECT_NE(first_blame(world, {"I6", "I3", "Out"}).substr(0, 4), "only");
}

}  // namespace
}  // namespace dhub::delivery
