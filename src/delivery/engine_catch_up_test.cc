// SPDX-License-Identifier: Apache-2.0
// A backlog that is worked off: how often each record is read, how much is held, and that nobody waits for a key that
// takes its time.
#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

#include "delivery/engine.h"
#include "delivery/sim_journal.h"
#include "delivery/sim_log.h"

namespace dhub::delivery {
namespace {

constexpr std::int64_t kEvents = 40'000;
constexpr std::size_t kRecordsOfARead = 512;
constexpr Duration kRound = milliseconds(1);

EngineSettings catch_up_settings() {
  EngineSettings settings;
  settings.topic = "orders";
  settings.current.version = Version{1};
  settings.current.step_names = {"first"};
  settings.current.retry = {20, Backoff::Constant, std::chrono::seconds(1), std::chrono::seconds(1), false, false};
  settings.current.max_instances = 2;
  settings.limits.window_bytes = 2U << 20;
  return settings;
}

// One partition with a backlog of events of 100 bytes, and instances that do whatever they get in a round of a
// millisecond; readers and journal answer at once.
class CatchUp {
 public:
  explicit CatchUp(std::int64_t keys, EngineSettings settings = catch_up_settings())
      : keys_(keys), engine_(std::move(settings), journal_.load(), now_) {
    for (std::int64_t i = 0; i < kEvents; ++i) {
      Message message;
      if (keys > 0) message.key = fmt::format("k{}", i % keys);
      message.value = std::string(100, 'x');
      log_.append(std::move(message));
    }
    engine_.set_wanted(2);
    engine_.tick(now_, out_);
    carry_out();
  }
  void ready(std::uint64_t instance) {
    engine_.instance_ready(InstanceId{instance}, Version{1}, now_, out_);
    carry_out();
  }

  // How an event ends; none: it goes on running.
  std::function<std::optional<OutcomeKind>(std::int64_t offset)> deed = [](std::int64_t) {
    return OutcomeKind::Succeeded;
  };

  // Rounds until `finished` events are, or nothing happens any more.
  void run_until(std::int64_t finished) {
    for (int idle = 0; done < finished && idle < 5000; ++idle) {
      const std::int64_t before = done;
      round();
      if (done > before) idle = 0;
    }
    EXPECT_GE(done, finished) << "it came to a stand";
  }
  void round() {
    now_.mono += kRound;
    for (int reads = 0; reads < 4; ++reads) {
      read_again();
      read();
    }
    for (auto& [instance, tasks] : tasks_) work(instance, tasks);
    if (const auto at = engine_.wake_at(); at && *at <= now_.mono) {
      engine_.tick(now_, out_);
      carry_out();
    }
    most_held = std::max(most_held, engine_.backlog().held_bytes());
  }
  [[nodiscard]] Engine& engine() { return engine_; }

  std::int64_t done = 0;
  std::int64_t records_read = 0;
  std::int64_t seeks = 0;
  std::uint64_t most_held = 0;
  std::int64_t recalls = 0;
  std::map<std::int64_t, std::int64_t> last_of_key;  // by what was run

 private:
  static constexpr PartitionId kFirst{0};
  struct Task {
    DeliveryId id{};
    std::int64_t offset = 0;
    std::uint16_t chain = 0;
  };

  void read() {
    const auto from = engine_.wants_read(kFirst);
    if (!from || *from >= log_.end()) return;
    const auto chunk = log_.read(*from, kRecordsOfARead);
    records_read += static_cast<std::int64_t>(chunk.batch->records.size());
    engine_.records(kFirst, chunk, now_, out_);
    carry_out();
  }
  void read_again() {
    const auto from = engine_.wants_again(kFirst);
    if (!from) return;
    if (*from != passed_) ++seeks;
    const auto chunk = log_.read(*from, kRecordsOfARead);
    passed_ = chunk.next_offset;
    records_read += static_cast<std::int64_t>(chunk.batch->records.size());
    engine_.records_again(kFirst, chunk, now_, out_);
    carry_out();
  }
  void work(std::uint64_t instance, std::deque<Task>& tasks) {
    std::vector<Outcome> outcomes;
    while (!tasks.empty()) {
      const Task task = tasks.front();
      const auto kind = deed(task.offset);
      if (!kind) break;
      tasks.pop_front();
      outcomes.push_back(outcome(task, *kind));
      if (*kind != OutcomeKind::Succeeded) {
        cut_chain(task.chain, tasks, outcomes);
        continue;
      }
      ++done;
      if (keys_ > 0) {
        auto& last = last_of_key.try_emplace(task.offset % keys_, -1).first->second;
        EXPECT_LT(last, task.offset) << "out of order";
        last = task.offset;
      }
    }
    if (outcomes.empty()) return;
    engine_.outcomes(InstanceId{instance}, std::move(outcomes), now_, out_);
    carry_out();
  }
  // After a failure the rest of its key is not started.
  static void cut_chain(std::uint16_t chain, std::deque<Task>& tasks, std::vector<Outcome>& outcomes) {
    for (const Task& task : tasks)
      if (task.chain == chain) outcomes.push_back(outcome(task, OutcomeKind::NotStarted));
    std::erase_if(tasks, [&](const Task& task) { return task.chain == chain; });
  }
  static Outcome outcome(const Task& task, OutcomeKind kind) {
    Outcome outcome;
    outcome.delivery = task.id;
    outcome.kind = kind;
    outcome.duration_us = 4;
    return outcome;
  }
  void carry_out() {
    for (std::size_t i = 0; i < out_.dispatch_count; ++i)
      for (const auto& delivery : out_.dispatches[i].frame)
        tasks_[out_.dispatches[i].instance.value].push_back({delivery.id, delivery.run.offset.value, delivery.chain});
    const auto recalled = out_.recalls;
    const auto commit = std::move(out_.commit);
    out_.clear();
    for (const InstanceId instance : recalled) give_back(instance);
    if (!commit) return;
    engine_.commit_answered(commit->seq, journal_.apply(*commit), now_, out_);
    carry_out();
  }
  void give_back(InstanceId instance) {
    ++recalls;
    auto& tasks = tasks_[instance.value];
    std::vector<Outcome> outcomes;
    while (tasks.size() > 1) {
      outcomes.push_back(outcome(tasks.back(), OutcomeKind::NotStarted));
      tasks.pop_back();
    }
    engine_.outcomes(instance, std::move(outcomes), now_, out_);
    carry_out();
  }

  const std::int64_t keys_;
  SimLog log_;
  SimJournal journal_;
  Now now_{Instant{} + std::chrono::hours(1), WallTime{1'700'000'000'000}};
  Engine engine_;
  Outputs out_;
  std::map<std::uint64_t, std::deque<Task>> tasks_;
  Offset passed_{-1};
};

class EngineCatchUp : public testing::TestWithParam<std::int64_t> {};

TEST_P(EngineCatchUp, EachRecordIsReadOnce) {
  CatchUp backlog(GetParam());
  backlog.ready(1);
  backlog.ready(2);
  backlog.run_until(kEvents);
  EXPECT_LE(backlog.records_read, kEvents * 105 / 100);
  EXPECT_EQ(backlog.seeks, 0);
  EXPECT_LE(backlog.most_held, 2U << 20);
}

TEST_P(EngineCatchUp, MemoryHoldsWhatRunsNextAndNoMore) {
  CatchUp backlog(GetParam());
  backlog.ready(1);
  backlog.ready(2);
  backlog.run_until(kEvents / 2);
  std::int64_t read_ahead = 0;
  for (int i = 0; i < 20; ++i) {
    backlog.round();
    read_ahead = std::max(read_ahead, backlog.engine().backlog().unfinished());
  }
  // Two frames of 256 for each of two instances, as much at them, and what a read brings beyond it.
  EXPECT_LE(read_ahead, 4 * 2 * 256 + 2 * static_cast<std::int64_t>(kRecordsOfARead));
}

INSTANTIATE_TEST_SUITE_P(Keys, EngineCatchUp, testing::Values(0, 10, 100, 10'000));

// LetGo and RecallClaim: one event takes very long. What was sent along with it is taken back, the others go on, and
// what stands behind it in its key comes back in one pass.
TEST(EngineStuckKey, AnEventThatTakesLongHoldsUpItsKeyOnly) {
  constexpr std::int64_t kKeys = 20;
  constexpr std::int64_t kStuck = 7;
  CatchUp backlog(kKeys);
  bool stuck = true;
  backlog.deed = [&](std::int64_t offset) {
    return offset == kStuck && stuck ? std::nullopt : std::optional(OutcomeKind::Succeeded);
  };
  backlog.ready(1);
  backlog.ready(2);
  backlog.run_until(kEvents - kEvents / kKeys);
  EXPECT_EQ(backlog.recalls, 1);
  EXPECT_LE(backlog.records_read, kEvents * 105 / 100) << "while it is stuck nothing is read twice";
  stuck = false;
  backlog.run_until(kEvents);
  EXPECT_LE(backlog.records_read, kEvents * 220 / 100);
  EXPECT_LE(backlog.seeks, 2);
  EXPECT_LE(backlog.most_held, 2U << 20);
}

TEST(EngineStuckKey, AKeyThatWaitsForARetryHoldsUpNobodyElse) {
  constexpr std::int64_t kKeys = 20;
  constexpr std::int64_t kFailing = 7;
  CatchUp backlog(kKeys);
  int failures = 3;
  backlog.deed = [&](std::int64_t offset) {
    return offset == kFailing && failures-- > 0 ? OutcomeKind::Failed : OutcomeKind::Succeeded;
  };
  backlog.ready(1);
  backlog.ready(2);
  backlog.run_until(kEvents);
  EXPECT_LE(backlog.records_read, kEvents * 220 / 100);
  EXPECT_LE(backlog.seeks, 2);
}

// Many keys get stuck and free again: bytes come back for each, and nobody is forgotten.
TEST(EngineStuckKey, ManyKeysThatTakeLongOneAfterTheOtherAllGetTheirBytesBack) {
  constexpr std::int64_t kKeys = 50;
  auto settings = catch_up_settings();
  settings.current.max_instances = 4;
  CatchUp backlog(kKeys, settings);
  std::map<std::int64_t, int> rounds;
  backlog.deed = [&](std::int64_t offset) -> std::optional<OutcomeKind> {
    const bool is_long = offset % 977 == 0;
    if (is_long && ++rounds[offset] < 300) return std::nullopt;
    return OutcomeKind::Succeeded;
  };
  for (std::uint64_t instance = 1; instance <= 4; ++instance) backlog.ready(instance);
  backlog.run_until(kEvents);
  EXPECT_LE(backlog.most_held, 2U << 20);
}

}  // namespace
}  // namespace dhub::delivery
