// SPDX-License-Identifier: Apache-2.0
#include "service/slots.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/test_seed.h"

namespace dhub::service {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1ULL << 20;

// Time passes by steps of a millisecond.
class SteppedScheduler final : public Scheduler {
 public:
  void post(Task task) override { (void)at(now_, std::move(task)); }
  TimerId at(Instant when, Task task) override {
    tasks_[{std::max(when, now_), ++last_}] = std::move(task);
    return TimerId{last_};
  }
  void cancel(TimerId timer) override {
    std::erase_if(tasks_, [&](const auto& one) { return TimerId{one.first.second} == timer; });
  }
  [[nodiscard]] Now now() const override { return {now_, {}}; }

  void run_until(Instant until) {
    while (!tasks_.empty() && tasks_.begin()->first.first <= until) {
      now_ = std::max(now_, tasks_.begin()->first.first);
      const Task task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
      task();
    }
    now_ = until;
  }
  void run_for(Duration duration) { run_until(now_ + duration); }
  void drop_all() { tasks_.clear(); }

 private:
  Instant now_ = Instant{} + 1h;
  std::uint64_t last_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, Task> tasks_;
};

// What a trigger does with its share: starts what it may, and ends what it is asked for.
class Trigger {
 public:
  Trigger(SteppedScheduler& scheduler, Slots& slots, std::uint64_t& ids, Claim claim = {0, kMiB})
      : scheduler_(scheduler), ids_(ids), share_(slots, {[this] { look(); }, [this](InstanceId id) { end_soon(id); }}) {
    share_.use(claim);
  }

  void want(std::int32_t instances) {
    wanted = instances;
    look();
  }
  void look() {
    const auto idle = static_cast<std::int32_t>(running_.size()) - wanted;
    if (idle > 0 && share_.others_wait()) return end_soon(running_.begin()->first);
    const std::int32_t more = std::max(wanted - held(), 0);
    const std::int32_t may = share_.ask(more, idle > 0);
    for (std::int32_t i = 0; i < may; ++i) start();
  }
  void end_soon(InstanceId id) {
    if (running_.erase(id) == 0) return;
    ++given_back;
    ++ending;
    share_.leave(id);
    scheduler_.post([this] { look(); });
    (void)scheduler_.at(scheduler_.now().mono + event_takes, [this, id] {
      --ending;
      share_.end(id);
      look();
    });
  }
  [[nodiscard]] std::int32_t held() const {
    return static_cast<std::int32_t>(running_.size()) + static_cast<std::int32_t>(starting) + ending;
  }
  [[nodiscard]] std::int32_t running() const { return static_cast<std::int32_t>(running_.size()); }
  [[nodiscard]] const Slots::Share& share() const { return share_; }

  std::int32_t wanted = 0;
  std::int32_t starting = 0;
  std::int32_t ending = 0;
  std::int32_t given_back = 0;
  Duration start_takes = 5ms;
  Duration event_takes = 2ms;
  Instant ran_last{};
  Duration longest_without{};

  // Called each millisecond.
  void note(Instant now) {
    if (running() > 0 || wanted == 0) ran_last = now;
    if (ran_last != Instant{}) longest_without = std::max(longest_without, now - ran_last);
  }

 private:
  void start() {
    const InstanceId id{++ids_};
    share_.begin(id);
    ++starting;
    (void)scheduler_.at(scheduler_.now().mono + start_takes, [this, id] {
      --starting;
      running_[id] = true;
      share_.ready(id, start_takes);
    });
  }

  SteppedScheduler& scheduler_;
  std::uint64_t& ids_;
  std::map<InstanceId, bool> running_;
  Slots::Share share_;
};

class SlotsTest : public testing::Test {
 protected:
  void machine(std::int32_t instances, std::uint64_t memory = std::numeric_limits<std::uint64_t>::max()) {
    slots_.emplace(scheduler_, metrics_, Machine{instances, memory});
  }
  Trigger& add(Claim claim = {0, kMiB}) {
    triggers_.push_back(std::make_unique<Trigger>(scheduler_, *slots_, ids_, claim));
    return *triggers_.back();
  }
  void run_for(Duration duration) {
    for (; duration > Duration::zero(); duration -= 1ms) {
      scheduler_.run_for(1ms);
      for (auto& trigger : triggers_) trigger->note(scheduler_.now().mono);
    }
  }
  std::vector<std::int32_t> running() const {
    std::vector<std::int32_t> counts;
    for (const auto& trigger : triggers_) counts.push_back(trigger->running());
    return counts;
  }
  std::int32_t held() const {
    std::int32_t all = 0;
    for (const auto& trigger : triggers_) all += trigger->held();
    return all;
  }

  using Counts = std::vector<std::int32_t>;

  SteppedScheduler scheduler_;
  Metrics metrics_;
  std::uint64_t ids_ = 0;
  std::optional<Slots> slots_;
  std::vector<std::unique_ptr<Trigger>> triggers_;
};

TEST_F(SlotsTest, WhoeverIsAloneHasAllThatItWants) {
  machine(8);
  add().want(20);
  run_for(10ms);
  EXPECT_EQ(running(), (Counts{8}));
  EXPECT_EQ(triggers_[0]->share().why_it_waits(), "It waits for 12 instances: 8 of 8 are in use (instances.most).");
  EXPECT_NE(metrics_.render().find("dhub_slots_in_use 8\n"), std::string::npos);
  run_for(10s);
  EXPECT_EQ(triggers_[0]->given_back, 0) << "nobody else wants them";
}

TEST_F(SlotsTest, WhoeverComesLaterGetsItsFairShareAndNoMoreIsMoved) {
  machine(8);
  add().want(20);
  run_for(2s);
  add().want(2);
  run_for(2s);
  EXPECT_EQ(running(), (Counts{6, 2}));
  triggers_[1]->want(20);
  run_for(2s);
  EXPECT_EQ(running(), (Counts{4, 4}));
  add().want(1);
  run_for(2s);
  const auto moved = triggers_[0]->given_back + triggers_[1]->given_back;
  EXPECT_EQ(triggers_[2]->running(), 1);
  run_for(10s);
  EXPECT_EQ(triggers_[0]->given_back + triggers_[1]->given_back, moved) << "it is fair as it is";
}

TEST_F(SlotsTest, MoreTriggersThanSlotsTakeTurns) {
  machine(2);
  for (int i = 0; i < 20; ++i) add().want(8);
  run_for(30s);
  Duration started{};
  for (const auto& trigger : triggers_) {
    EXPECT_LT(trigger->longest_without, 5s);
    EXPECT_GT(trigger->given_back, 5);
    started += trigger->given_back * (trigger->start_takes + trigger->event_takes);
  }
  EXPECT_LT(started, 6s) << "less than a tenth of what two slots are in 30 s";
}

TEST_F(SlotsTest, AStartThatTakesLongMakesTurnsLong) {
  machine(1);
  for (int i = 0; i < 3; ++i) {
    add().start_takes = 400ms;
    triggers_.back()->want(1);
  }
  run_for(60s);
  std::int32_t starts = 0;
  for (const auto& trigger : triggers_) starts += trigger->given_back;
  EXPECT_LE(starts * 400ms, 6s);
  EXPECT_GE(starts, 10);
}

TEST_F(SlotsTest, WhatIsIdleIsGivenUpAtOnceWhenOthersWait) {
  machine(2);
  Trigger& idle = add();
  idle.want(2);
  run_for(10ms);
  idle.wanted = 0;
  idle.look();
  run_for(10ms);
  EXPECT_EQ(idle.running(), 2) << "nobody waits";
  add().want(2);
  run_for(20ms);
  EXPECT_EQ(running(), (Counts{0, 2}));
}

TEST_F(SlotsTest, MinInstancesComeBeforeOthersHaveMoreThanOne) {
  machine(4);
  add().want(8);
  run_for(2s);
  add({3, kMiB}).want(3);
  run_for(3s);
  EXPECT_EQ(running(), (Counts{1, 3}));
  run_for(10s);
  EXPECT_EQ(triggers_[1]->given_back, 0);
}

TEST_F(SlotsTest, WhoeverHasNoneAtAllGetsATurnEvenOfMinInstances) {
  machine(2);
  add({2, kMiB}).want(2);
  run_for(2s);
  add().want(1);
  run_for(2s);
  EXPECT_EQ(running(), (Counts{1, 1})) << "both go on, and nobody has to start again and again";
}

TEST_F(SlotsTest, MemoryIsABoundToo) {
  machine(100, 10 * kMiB);
  add({0, 4 * kMiB}).want(8);
  run_for(2s);
  EXPECT_EQ(running(), (Counts{2}));
  EXPECT_EQ(triggers_[0]->share().why_it_waits(),
            "It waits for 6 instances of 4MiB: 8MiB of 10MiB are in use (instances.memory).");
  add({0, 1 * kMiB}).want(1);
  run_for(20ms);
  EXPECT_EQ(running(), (Counts{2, 1})) << "it fits beside them";
  add({0, 8 * kMiB}).want(1);
  run_for(10s);
  for (const auto& trigger : triggers_) EXPECT_LT(trigger->longest_without, 5s);
}

TEST_F(SlotsTest, WhoCanNeverHaveOneHoldsUpNobody) {
  machine(4, 10 * kMiB);
  add({0, 11 * kMiB}).want(1);
  add().want(2);
  run_for(10ms);
  EXPECT_EQ(running(), (Counts{0, 2}));
  EXPECT_FALSE(triggers_[1]->share().others_wait());
  EXPECT_EQ(triggers_[0]->share().why_it_waits(),
            "An instance of it may take 11MiB (limits.memory), but all instances together may take 10MiB "
            "(instances.memory).");
}

TEST_F(SlotsTest, AClaimThatDoesNotFitIsAConflictThatSaysWhatThereIs) {
  machine(4, 10 * kMiB);
  EXPECT_TRUE(slots_->check({4, kMiB}, {}));
  EXPECT_TRUE(slots_->check({0, 10 * kMiB}, {{4, kMiB}})) << "it can wait for its turn";
  const auto many = slots_->check({3, kMiB}, {{2, kMiB}});
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::Conflict);
  EXPECT_NE(many.error().message.find("3 instances"), std::string::npos);
  EXPECT_NE(many.error().message.find("other triggers take 2"), std::string::npos);
  const auto large = slots_->check({2, 3 * kMiB}, {{1, 5 * kMiB}});
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().message.find("2 instances of it may take 6MiB"), std::string::npos);
  EXPECT_FALSE(slots_->check({0, 11 * kMiB}, {})) << "it could never have one";
  EXPECT_FALSE(slots_->check({2, ~0ULL / 2 + 1}, {})) << "no product runs over";
}

// Whatever is wanted, by however many, of whatever size: never more than there is, and nobody waits for ever.
TEST_F(SlotsTest, InAnyWorldItIsNeverMoreThanThereIsAndNobodyWaitsForEver) {
  const auto first = test_seed_or(1);
  for (std::uint64_t seed = first; seed < first + 40; ++seed) {
    scheduler_.drop_all();
    triggers_.clear();
    Random random(seed);
    const auto up_to = [&](std::uint64_t most) { return static_cast<std::int32_t>(1 + random.below(most)); };
    const std::int32_t capacity = up_to(6);
    machine(capacity, static_cast<std::uint64_t>(4 + up_to(8)) * kMiB);
    const std::int32_t count = up_to(12);
    for (std::int32_t i = 0; i < count; ++i) {
      Trigger& one = add({random.below(4) == 0 ? 1 : 0, static_cast<std::uint64_t>(up_to(4)) * kMiB});
      one.start_takes = milliseconds(up_to(20));
      one.event_takes = milliseconds(up_to(20));
    }
    for (int step = 0; step < 400; ++step) {
      Trigger& one = *triggers_[random.below(triggers_.size())];
      if (step < 300 || one.wanted == 0) one.want(static_cast<std::int32_t>(random.below(10)));
      run_for(milliseconds(static_cast<std::int64_t>(random.below(60))));
      ASSERT_LE(held(), capacity) << "seed " << seed;
      ASSERT_EQ(slots_->in_use(), held()) << "seed " << seed;
    }
    run_for(15s);
    for (const auto& trigger : triggers_)
      EXPECT_LT(trigger->longest_without, 12s) << "seed " << seed << ", " << count << " on " << capacity;
  }
}

}  // namespace
}  // namespace dhub::service
