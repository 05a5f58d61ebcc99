// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "delivery/sim_journal.h"
#include "delivery/sim_log.h"
#include "model/pipeline.h"

namespace dhub::delivery {

// Watches a simulated position and notes every broken promise. Order and repetition are judged at the moment when user
// code begins, which is what they are about; the rest when it is stored or dispatched.
class Judge {
 public:
  using At = SimJournal::At;

  Judge(const SimJournal& journal, Ordering ordering, std::int32_t max_attempts)
      : journal_(journal), ordering_(ordering), max_attempts_(max_attempts) {}

  void published(At at, const Message& message) {
    std::string lane = fmt::format("{}/{}", at.first, at.second);
    if (ordering_ == Ordering::Partition) lane = fmt::format("{}", at.first);
    if (ordering_ == Ordering::Key && message.key) lane = fmt::format("{}:{}", at.first, *message.key);
    events_[at].lane = lane;
    lanes_[lane].push_back(at);
  }

  void dispatched(At at, DeliveryId id, std::int32_t attempt, bool alone_in_epoch) {
    if (!events_.contains(at)) return blame("I2: offset {} was never published", at.second);
    Event& event = events_[at];
    if (at.second >= journal_.dispatched_through(at.first))
      blame("ReserveFirst: offset {} was dispatched at or past {}", at.second, journal_.dispatched_through(at.first));
    // A zombie knows old charges; what it starts is judged when it begins.
    if (alone_in_epoch && attempt != journal_.charged(at) + 1)
      blame("I6: attempt {} of offset {}, which is charged {}", attempt, at.second, journal_.charged(at));
    if (event.last_delivery && id <= *event.last_delivery) blame("I5: delivery numbers of offset {} fall", at.second);
    event.last_delivery = id;
  }

  // `is_gone` tells what will be stored as expired; the next of its key need not wait for that.
  template <typename IsGone>
  void begins(At at, std::int32_t version, std::int32_t newest_told, bool orphan, const IsGone& is_gone) {
    Event& event = events_[at];
    // A former owner's worker may still hold an event in its hands whose record is gone for everybody else.
    const auto has_ended = [&](At other) {
      const FinalState state = journal_.state(other);
      return state != FinalState::None && !(orphan && state == FinalState::Expired);
    };
    if (has_ended(at)) blame("I5: offset {} runs though it has ended", at.second);
    if (orphan) orphaned_.insert(at);
    auto& running = running_[event.lane];
    if (!running.empty()) blame("I3: offset {} overlaps another of its key", at.second);
    running.insert(at);
    bool later = false;
    for (const At& other : lanes_[event.lane]) {
      if (other == at) {
        later = true;
        event.ok = false;
      } else if (later) {
        // What expired never ran, so it overtook nobody.
        if (has_ended(other) && journal_.state(other) != FinalState::Expired)
          blame("I3: offset {} runs after {} has ended", at.second, other.second);
        events_[other].ok = false;
      } else if (!events_[other].ok && journal_.state(other) == FinalState::None && !is_gone(other)) {
        blame("I3: offset {} runs before {} is over", at.second, other.second);
      }
    }
    if (version < newest_told) blame("ChainCut: offset {} begins on version {} after the switch", at.second, version);
    std::int32_t& newest = newest_run_[event.lane];
    if (version < newest) blame("offset {} goes back to version {}", at.second, version);
    newest = std::max(newest, version);
  }
  void ends(At at, bool ok) {
    Event& event = events_[at];
    running_[event.lane].erase(at);
    orphaned_.erase(at);
    event.ok = ok;
    if (!ok) ++event.failed_runs;
  }
  // Its owner is gone while it runs.
  void orphaned(At at) { orphaned_.insert(at); }
  // The process is gone while it ran; nobody will tell.
  void vanishes(At at) {
    running_[events_[at].lane].erase(at);
    orphaned_.erase(at);
  }

  [[nodiscard]] int failed_runs(At at) { return events_[at].failed_runs; }

  // Before a commit is applied.
  void stores(const JournalCommit& commit, const std::vector<SimLog>& logs) {
    for (const auto& range : commit.finished) {
      for (std::int64_t i = 0; i < range.count; ++i) {
        const At at{range.partition.value, range.first.value + i};
        const auto& log = logs[static_cast<std::size_t>(at.first)];
        if (range.state == FinalState::Expired) {
          const bool honest = Offset{at.second} < log.start() && journal_.charged(at) == 0 && !runs(at);
          if (!honest) blame("ExpireGone: offset {} is called expired and is not", at.second);
        }
        if (range.state == FinalState::Absent && log.find(Offset{at.second}) != nullptr)
          blame("I1: offset {} is called absent and is there", at.second);
      }
    }
  }
  // After it.
  void stored(int faults) {
    for (auto& [at, event] : events_) {
      const auto charged = journal_.charged(at);
      if (charged > max_attempts_) blame("I6: offset {} is charged {}", at.second, charged);
      if (charged > event.failed_runs)
        blame("I6: offset {} is charged {} and has failed {}", at.second, charged, event.failed_runs);
      if (event.failed_runs > max_attempts_ + faults)
        blame("I6: offset {} has failed {} times", at.second, event.failed_runs);
    }
  }

  // Every number keeps its content until it is answered.
  void sends(const JournalCommit& commit) {
    std::string text;
    for (const auto& p : commit.partitions)
      text += fmt::format("{} {} {};", p.partition, p.cursor, p.dispatched_through);
    for (const auto& r : commit.finished)
      text += fmt::format("{} {} {} {};", r.partition, r.first, r.count, to_string(r.state));
    for (const auto& f : commit.failures)
      text += fmt::format("{} {} {} {};", f.partition, f.offset, f.charged, f.results);
    for (const auto& d : commit.dead_letters) text += fmt::format("{} {};", d.run.partition, d.run.offset);
    for (const auto& p : commit.publications) text += fmt::format("{} {};", p.topic, p.message.value.value_or(""));
    const auto [known, is_new] = sent_.try_emplace({commit.owner_epoch.value, commit.seq.value}, text);
    if (!is_new && known->second != text) blame("SameBatch: number {} has changed its content", commit.seq.value);
  }

  template <typename... Args>
  void blame(fmt::format_string<Args...> format, Args&&... args) {
    blames_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  // The first of the broken promises, "" when all were kept.
  [[nodiscard]] std::string verdict() const {
    if (!blames_.empty()) return blames_.front();
    return journal_.blames().empty() ? "" : journal_.blames().front();
  }
  [[nodiscard]] std::set<At> all() const {
    std::set<At> found;
    for (const auto& [at, event] : events_) found.insert(at);
    return found;
  }

 private:
  struct Event {
    std::string lane;
    bool ok = false;  // ran with success, and nothing before it in its lane has run again since
    int failed_runs = 0;
    std::optional<DeliveryId> last_delivery;
  };
  [[nodiscard]] bool runs(At at) const {
    const auto event = events_.find(at);
    if (event == events_.end() || orphaned_.contains(at)) return false;
    const auto lane = running_.find(event->second.lane);
    return lane != running_.end() && lane->second.contains(at);
  }

  const SimJournal& journal_;
  Ordering ordering_;
  std::int32_t max_attempts_;
  std::map<At, Event> events_;
  std::map<std::string, std::vector<At>> lanes_;
  std::map<std::string, std::set<At>> running_;
  std::set<At> orphaned_;
  std::map<std::string, std::int32_t> newest_run_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::string> sent_;
  std::vector<std::string> blames_;
};

}  // namespace dhub::delivery
