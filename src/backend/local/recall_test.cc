// SPDX-License-Identifier: Apache-2.0
// What a recalled instance gives back while it is busy: by whom each delivery is answered, and what has run.
#include <algorithm>
#include <fstream>

#include "backend/local/test_backend.h"
#include "base/random.h"
#include "base/test_seed.h"

namespace dhub::local {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class Recall : public testing::TestWithParam<const char*> {
 protected:
  Recall() : t(options()) {}

  static LocalOptions options() {
    LocalOptions options;
    options.host_program = host_program(GetParam());
    return options;
  }
  // The head of a script whose events note that they run, and can wait for a file that the test makes.
  [[nodiscard]] std::string script(const std::string& rest) const {
    return "import asyncio, os, time\nDIR = '" + t.work_dir +
           "/'\n"
           "RAN = os.open(DIR + 'ran', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
           "def note(value): os.write(RAN, b'%s\\n' % value.encode())\n"
           "def wait(name):\n"
           "    while not os.path.exists(DIR + name): time.sleep(0.001)\n" +
           rest;
  }
  [[nodiscard]] std::string blocking() const {
    return script(
        "def handle(event):\n"
        "    note(event.data)\n"
        "    if event.data.startswith('wait'): wait('go')\n"
        "    if event.data.startswith('die'):\n"
        "        wait('go')\n"
        "        os._exit(3)\n");
  }
  void make_file(const char* name) { std::ofstream(t.work_dir + "/" + name).put('x'); }
  // What has run so far, in its order.
  [[nodiscard]] std::vector<std::string> ran() const {
    std::vector<std::string> values;
    std::ifstream in(t.work_dir + "/ran");
    for (std::string line; std::getline(in, line);) values.push_back(line);
    return values;
  }
  void wait_ran(std::size_t count) {
    t.wait([&] { return ran().size() >= count; }, "events to begin");
  }
  void expect_not_started(const std::vector<DeliveryId>& ids) {
    for (const DeliveryId id : ids) EXPECT_EQ(t.wait_outcome(id).kind, OutcomeKind::NotStarted) << id.value;
  }
  static std::vector<TestEvent> events(const std::vector<std::string>& values) {
    std::vector<TestEvent> made;
    for (const auto& value : values) made.push_back({value});
    return made;
  }

  TestBackend t;
};
INSTANTIATE_TEST_SUITE_P(Isolation, Recall, testing::Values("best", "none"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(Recall, WhatStandsBehindARunningEventComesBackWhileItRuns) {
  const auto id = t.start_ready({blocking()});
  auto ids = t.deliver(id, events({"a", "wait", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}));
  const auto more = t.deliver(id, events({"11", "12"}));
  wait_ran(2);
  t.backend->recall(id);
  expect_not_started({ids.begin() + 2, ids.end()});
  expect_not_started(more);
  EXPECT_EQ(t.wait_outcome(ids[0]).kind, OutcomeKind::Succeeded) << "it is finished, though the worker has not sent it";
  EXPECT_FALSE(t.outcomes.contains(ids[1])) << "it still runs";
  const auto after = t.deliver(id, events({"after"}));
  make_file("go");
  EXPECT_EQ(t.wait_outcome(ids[1]).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.wait_outcome(after[0]).kind, OutcomeKind::Succeeded);
  t.backend->drain(id);
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::Drained) << t.ended.at(id).detail;
  EXPECT_THAT(ran(), ElementsAre("a", "wait", "after"));
}

TEST_P(Recall, AnInstanceThatStillLoadsGivesBackAtOnce) {
  const auto id = t.start({script("wait('go')\ndef handle(event): note(event.data)\n")});
  const auto ids = t.deliver(id, events({"1", "2", "3"}));
  t.backend->recall(id);
  expect_not_started(ids);
  EXPECT_FALSE(t.ready.contains(id));
  const auto after = t.deliver(id, events({"after"}));
  make_file("go");
  EXPECT_EQ(t.wait_outcome(after[0]).kind, OutcomeKind::Succeeded);
  EXPECT_THAT(ran(), ElementsAre("after"));
}

TEST_P(Recall, OfAnIdleInstanceIsNothing) {
  const auto id = t.start_ready({blocking()});
  t.backend->recall(id);
  EXPECT_EQ(t.run(id, {"a"}).kind, OutcomeKind::Succeeded);
  t.backend->recall(id);
  t.backend->recall(id);
  EXPECT_EQ(t.run(id, {"b"}).kind, OutcomeKind::Succeeded);
}

TEST_P(Recall, SeveralRecallsGiveBackWhatEachOfThemFound) {
  const auto id = t.start_ready({blocking()});
  auto ids = t.deliver(id, events({"wait"}));
  wait_ran(1);
  std::vector<DeliveryId> recalled;
  for (int round = 0; round < 5; ++round) {
    for (const DeliveryId each : t.deliver(id, events({"x", "y"}))) recalled.push_back(each);
    t.backend->recall(id);
  }
  const auto after = t.deliver(id, events({"after"}));
  expect_not_started(recalled);
  make_file("go");
  EXPECT_EQ(t.wait_outcome(after[0]).kind, OutcomeKind::Succeeded);
  EXPECT_THAT(ran(), ElementsAre("wait", "after"));
}

TEST_P(Recall, AWorkerThatDiesAfterwardsIsChargedWithWhatRan) {
  const auto id = t.start_ready({blocking()});
  const auto ids = t.deliver(id, events({"die", "1", "2"}));
  wait_ran(1);
  t.backend->recall(id);
  expect_not_started({ids.begin() + 1, ids.end()});
  const auto after = t.deliver(id, events({"after"}));
  make_file("go");
  t.wait_ended(id);
  EXPECT_EQ(t.outcomes.at(ids[0]).kind, OutcomeKind::Crashed);
  EXPECT_EQ(t.outcomes.at(after[0]).kind, OutcomeKind::NotStarted);
}

TEST_P(Recall, OfSeveralAtATimeOnlyThoseThatHaveBegunAreKept) {
  const auto id = t.start_ready({script("async def handle(event):\n"
                                        "    note(event.data)\n"
                                        "    while not os.path.exists(DIR + 'go'): await asyncio.sleep(0.001)\n")},
                                [](InstanceSpec& spec) { spec.concurrency = 2; });
  std::vector<TestEvent> given = events({"a", "behind a", "b", "c", "d"});
  given[0].chain = given[1].chain = 7;
  const auto ids = t.deliver(id, given);
  wait_ran(2);
  t.backend->recall(id);
  expect_not_started({ids[1], ids[3], ids[4]});
  const auto after = t.deliver(id, events({"after"}));
  make_file("go");
  for (const DeliveryId each : {ids[0], ids[2], after[0]}) EXPECT_EQ(t.wait_outcome(each).kind, OutcomeKind::Succeeded);
  EXPECT_THAT(ran(), ElementsAre("a", "b", "after"));
}

// A loop that is blocked cannot send what finished just before; the host must not take that for what never began. Some
// of the quick ones end in the turn of the loop in which the other one blocks it, whichever turn that is.
TEST_P(Recall, WhatIsFinishedAndNotSentIsNotGivenBack) {
  const auto id = t.start_ready({script("async def handle(event):\n"
                                        "    note(event.data)\n"
                                        "    name, turns = event.data.split()\n"
                                        "    for _ in range(int(turns)): await asyncio.sleep(0)\n"
                                        "    if name == 'block':\n        note('blocked')\n        wait('go')\n")},
                                [](InstanceSpec& spec) { spec.concurrency = 32; });
  std::vector<TestEvent> given;
  for (int turns = 0; turns < 16; ++turns) given.push_back({"quick " + std::to_string(turns)});
  given.push_back({"block 8"});
  for (int turns = 0; turns < 12; ++turns) given.push_back({"last " + std::to_string(turns)});
  const auto ids = t.deliver(id, given);
  t.wait([&] { return std::ranges::count(ran(), "blocked") == 1; }, "the loop to be blocked");
  const std::size_t begun = ran().size() - 1;
  t.backend->recall(id);
  // The next ones may be noted already, though their code comes in this turn or the next only.
  constexpr std::size_t kNoted = 2;
  const auto given_back = [&] {
    return static_cast<std::size_t>(std::ranges::count_if(
        t.outcomes, [](const auto& entry) { return entry.second.kind == OutcomeKind::NotStarted; }));
  };
  t.wait([&] { return given_back() + begun + kNoted >= given.size(); }, "what has not begun");
  make_file("go");
  std::size_t succeeded = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool done = t.wait_outcome(ids[i]).kind == OutcomeKind::Succeeded;
    succeeded += done ? 1 : 0;
    EXPECT_EQ(std::ranges::count(ran(), given[i].value), done ? 1 : 0) << given[i].value;
  }
  EXPECT_GE(succeeded, begun);
  EXPECT_LE(succeeded, begun + kNoted);
}

// Recalls at any moment of events about as long as the host waits before it answers for a worker.
class Race {
 public:
  Race(TestBackend& backend, InstanceId instance, std::uint64_t seed) : t_(backend), id_(instance), random_(seed) {}

  void run(int recalls) {
    for (int round = 0; round < recalls; ++round) {
      for (std::uint64_t frames = 1 + random_.below(2); frames > 0; --frames) deliver();
      const std::size_t some = t_.outcomes.size() + random_.below(6);
      const std::size_t all = values_.size();
      t_.wait([&] { return t_.outcomes.size() >= std::min(some, all); }, "some outcomes");
      t_.backend->recall(id_);
      if (random_.below(2) == 0) t_.wait([&] { return t_.outcomes.size() == values_.size(); }, "all outcomes");
    }
    t_.wait([&] { return t_.outcomes.size() == values_.size(); }, "all outcomes");
  }
  // Each that ran did so once and was answered so; answers are single already (TestBackend).
  void judge(std::vector<std::string> ran) const {
    std::vector<std::string> answered;
    std::size_t given_back = 0;
    for (const auto& [delivery, value] : values_) {
      const Outcome& outcome = t_.outcomes.at(delivery);
      if (outcome.kind == OutcomeKind::Succeeded) answered.push_back(value);
      given_back += outcome.kind == OutcomeKind::NotStarted ? 1 : 0;
    }
    std::sort(answered.begin(), answered.end());
    std::sort(ran.begin(), ran.end());
    EXPECT_EQ(ran, answered);
    EXPECT_GT(given_back, 0u);
    EXPECT_GT(answered.size(), 0u);
  }

 private:
  void deliver() {
    static constexpr int kMilliseconds[] = {0, 0, 0, 1, 5, 18, 20, 21, 25};
    std::vector<TestEvent> frame;
    for (std::uint64_t i = 1 + random_.below(8); i > 0; --i) {
      const int lasts = kMilliseconds[random_.below(std::size(kMilliseconds))];
      frame.push_back({std::to_string(++count_) + " " + std::to_string(lasts)});
      frame.back().chain = static_cast<std::uint16_t>(random_.below(3));
    }
    const auto ids = t_.deliver(id_, frame);
    for (std::size_t i = 0; i < ids.size(); ++i) values_[ids[i]] = frame[i].value;
  }

  TestBackend& t_;
  const InstanceId id_;
  Random random_;
  int count_ = 0;
  std::map<DeliveryId, std::string> values_;
};

TEST_P(Recall, RacingWithShortEventsNoneIsBothRunAndGivenBack) {
  const auto id =
      t.start_ready({script("def handle(event):\n    note(event.data)\n"
                            "    time.sleep(int(event.data.split()[1]) / 1000)\n")});
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("DHUB_TEST_SEED=" + std::to_string(seed));
  Race race(t, id, seed);
  race.run(120);
  race.judge(ran());
}

TEST_P(Recall, RacingWithSeveralAtATimeNoneIsBothRunAndGivenBack) {
  const auto id = t.start_ready({script("async def handle(event):\n    note(event.data)\n"
                                        "    lasts = int(event.data.split()[1]) / 1000\n"
                                        "    if event.offset % 4 == 0: time.sleep(lasts)\n"
                                        "    else: await asyncio.sleep(lasts)\n")},
                                [](InstanceSpec& spec) { spec.concurrency = 3; });
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("DHUB_TEST_SEED=" + std::to_string(seed));
  Race race(t, id, seed);
  race.run(120);
  race.judge(ran());
}

}  // namespace
}  // namespace dhub::local
