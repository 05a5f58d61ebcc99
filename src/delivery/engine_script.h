// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "delivery/engine.h"
#include "delivery/sim_journal.h"
#include "delivery/sim_log.h"

namespace dhub::delivery {

constexpr Duration kSecond = std::chrono::seconds(1);

// Three attempts, one second apart, large frames: what is not said in a test does not get in its way.
inline EngineSettings script_settings() {
  EngineSettings settings;
  settings.topic = "orders";
  settings.current.version = Version{1};
  settings.current.step_names = {"first", "second"};
  settings.current.retry = {3, Backoff::Constant, kSecond, kSecond, false, false};
  settings.current.max_instances = 4;
  settings.limits.frame_work = kSecond;
  settings.limits.long_event = std::chrono::hours(1);
  return settings;
}

inline std::vector<std::string> words(std::string_view text, char separator = ' ') {
  std::vector<std::string> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    std::string_view word = text.substr(0, end);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    if (!word.empty()) found.emplace_back(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

// An engine in a world that a test writes as a script: what is published, which instance is there, how deliveries end,
// when commits are stored. Events have names: letters and a number, and the letters are the key ("a1", "a2", "b1");
// "-1" has no key, "_1" an empty one.
class EngineScript {
 public:
  explicit EngineScript(EngineSettings with = script_settings(), std::int32_t partitions = 1)
      : settings(std::move(with)), journal(partitions), logs(static_cast<std::size_t>(partitions)) {}

  // Loads the position as after a crash or a start, and stores the first reservation. Reading is a test's own matter.
  EngineScript& start() {
    under_way_.reset();
    engine_.emplace(settings, journal.load(), now);
    engine_->tick(now, out_);
    take_outputs();
    store_all();
    sent();
    return *this;
  }
  Engine& engine() { return *engine_; }

  // ---- the topic ----
  void append(std::string_view names, std::size_t partition = 0) {
    for (const auto& name : words(names)) append(message_of(name), partition);
  }
  void append(Message message, std::size_t partition = 0) { logs[partition].append(std::move(message)); }
  void read(std::size_t partition = 0, std::size_t most = 1000) {
    const auto from = engine_->wants_read(id(partition));
    ASSERT_TRUE(from.has_value()) << "the engine wants to read no more";
    engine_->records(id(partition), logs[partition].read(*from, most), now, out_);
    take_outputs();
  }
  void publish(std::string_view names, std::size_t partition = 0) {
    append(names, partition);
    read(partition);
  }
  // The topic gets one more, and the engine hears of it as from an owner that has told the journal.
  void add_partition() {
    const auto added = id(logs.size());
    logs.emplace_back();
    ASSERT_TRUE(journal.add_partition(journal.epoch(), added.value).has_value());
    engine_->add_partition({added, {}, {}, {}, {}, {}}, now);
    tick();
  }
  // One read of the second reading, which brings back what was let go.
  void read_again(std::size_t partition = 0, std::size_t most = 1) {
    const auto from = engine_->wants_again(id(partition));
    ASSERT_TRUE(from.has_value()) << "the engine wants nothing again";
    if (*from != passed_) ++seeks;
    const auto chunk = logs[partition].read(*from, most);
    passed_ = chunk.next_offset;
    records_again += static_cast<std::int64_t>(chunk.batch->records.size());
    engine_->records_again(id(partition), chunk, now, out_);
    take_outputs();
  }

  // ---- instances ----
  void ready(std::uint64_t instance, std::int32_t version = 1) {
    engine_->instance_ready(InstanceId{instance}, Version{version}, now, out_);
    take_outputs();
  }
  void ended(std::uint64_t instance) {
    engine_->instance_ended(InstanceId{instance}, now, out_);
    take_outputs();
  }
  // "a1 ok, a2 failed, b1 not_started": in one call per instance, in this order.
  void answer(std::string_view text) {
    std::map<std::uint64_t, std::vector<Outcome>> by_instance;
    for (const auto& part : words(text, ',')) {
      const auto pair = words(part);
      ASSERT_EQ(pair.size(), 2U) << part;
      ASSERT_TRUE(knows(pair[0])) << pair[0] << " was never sent";
      Outcome outcome = outcome_of(pair[1]);
      outcome.delivery = last(pair[0]).id;
      by_instance[last(pair[0]).instance].push_back(std::move(outcome));
    }
    for (auto& [instance, outcomes] : by_instance) answer(instance, std::move(outcomes));
  }
  void answer(const std::string& name, Outcome outcome) {
    outcome.delivery = last(name).id;
    answer(last(name).instance, {std::move(outcome)});
  }
  void answer(std::uint64_t instance, std::vector<Outcome> outcomes) {
    engine_->outcomes(InstanceId{instance}, std::move(outcomes), now, out_);
    take_outputs();
  }
  static Outcome outcome_of(const std::string& word) {
    static const std::map<std::string, OutcomeKind> kinds = {
        {"ok", OutcomeKind::Succeeded},    {"filtered", OutcomeKind::Filtered},
        {"failed", OutcomeKind::Failed},   {"rejected", OutcomeKind::Rejected},
        {"crashed", OutcomeKind::Crashed}, {"timed_out", OutcomeKind::TimedOut},
        {"oom", OutcomeKind::OutOfMemory}, {"not_started", OutcomeKind::NotStarted},
    };
    Outcome outcome;
    outcome.kind = kinds.at(word);
    outcome.duration_us = 100;
    if (outcome.kind != OutcomeKind::Succeeded) outcome.error = "error: " + word;
    return outcome;
  }

  // ---- the journal ----
  [[nodiscard]] bool has_commit() const { return under_way_ != nullptr; }
  [[nodiscard]] const JournalCommit& commit() const { return *under_way_; }
  void store() {
    ASSERT_TRUE(under_way_ != nullptr) << "no commit is under way";
    const auto answer = journal.apply(*under_way_);
    tell(answer);
  }
  void store_all() {
    while (under_way_) store();
  }
  void refuse(ErrorCode code = ErrorCode::StorageFull) { tell(fail(code, "refused")); }
  // Applied, but the answer is lost.
  void store_and_time_out() {
    ASSERT_TRUE(journal.apply(*under_way_).has_value());
    refuse(ErrorCode::DeadlineExceeded);
  }

  // ---- time and control ----
  void wait(Duration duration) {
    now.mono += duration;
    now.wall.ms += std::chrono::duration_cast<milliseconds>(duration).count();
    tick();
  }
  void tick() {
    engine_->tick(now, out_);
    take_outputs();
  }
  void switch_to(VersionSettings version) {
    engine_->switch_version(std::move(version), now, out_);
    take_outputs();
  }
  void pause(bool paused) {
    engine_->set_paused(paused, now, out_);
    take_outputs();
  }

  // ---- what the engine has done since the last question ----
  // Frames: "1:a1,a2 2:b1"; an attempt after the first has its number: "1:a1#2".
  std::string sent() { return std::exchange(sent_, ""); }
  std::string recalled() { return std::exchange(recalled_, ""); }

  struct Sent {
    std::uint64_t instance = 0;
    DeliveryId id{};
    std::int32_t attempt = 0;
    std::uint16_t chain = 0;
    std::uint16_t hops = 0;
    std::uint16_t step = 0;
    std::string results;
    RunId run;
  };
  [[nodiscard]] bool knows(const std::string& name) const { return last_.contains(name); }
  const Sent& last(const std::string& name) { return last_.at(name); }
  // "succeeded", "none", ... as the journal has it.
  [[nodiscard]] std::string state(std::int64_t offset, std::int32_t partition = 0) const {
    return to_string(journal.state({partition, offset}));
  }

  static Message message_of(const std::string& name) {
    Message message;
    message.value = name;
    if (name[0] == '-') return message;
    message.key = "";
    for (const char c : name)
      if (std::isalpha(static_cast<unsigned char>(c)) != 0) *message.key += c;
    return message;
  }

  EngineSettings settings;
  SimJournal journal;
  std::vector<SimLog> logs;
  Now now{Instant{} + std::chrono::hours(1), WallTime{1'700'000'000'000}};
  std::int64_t records_again = 0;  // that the second reading has read, and ...
  std::int64_t seeks = 0;          // ... how often it began elsewhere than where it stood
  std::vector<AttemptDetail> details;
  std::optional<Error> broken;

 private:
  static PartitionId id(std::size_t partition) { return PartitionId{static_cast<std::int32_t>(partition)}; }

  void tell(const Result<CommitAnswer>& answer) {
    const CommitSeq seq = under_way_->seq;
    under_way_.reset();
    engine_->commit_answered(seq, answer, now, out_);
    take_outputs();
  }

  void take_outputs() {
    for (const auto& instance : out_.recalls) recalled_ += fmt::format("{}{}", recalled_.empty() ? "" : " ", instance);
    for (std::size_t i = 0; i < out_.dispatch_count; ++i) note(out_.dispatches[i]);
    if (out_.commit) {
      EXPECT_FALSE(under_way_ != nullptr) << "two commits at a time";
      under_way_ = std::move(out_.commit);
    }
    details.insert(details.end(), out_.details.begin(), out_.details.end());
    if (out_.broken) broken = out_.broken;
    out_.clear();
  }

  void note(const Dispatch& dispatch) {
    EXPECT_FALSE(dispatch.frame.empty());
    sent_ += fmt::format("{}{}:", sent_.empty() ? "" : " ", dispatch.instance);
    bool first = true;
    for (const auto& delivery : dispatch.frame) {
      const std::string name(delivery.record.value.value_or("(none)"));
      const auto again = delivery.attempt > 1 ? fmt::format("#{}", delivery.attempt) : "";
      sent_ += fmt::format("{}{}{}", std::exchange(first, false) ? "" : ",", name, again);
      last_[name] = {
          dispatch.instance.value,       delivery.id, delivery.attempt, delivery.chain, delivery.hops, delivery.step,
          std::string(delivery.results), delivery.run};
    }
  }

  std::optional<Engine> engine_;
  Outputs out_;
  JournalCommitRef under_way_;
  Offset passed_{-1};
  std::string sent_;
  std::string recalled_;
  std::map<std::string, Sent> last_;
};

}  // namespace dhub::delivery
