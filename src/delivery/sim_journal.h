// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "delivery/headers.h"
#include "ports/journal.h"

namespace dhub::delivery {

// The protocol rules that tests switch off to see that the checkers notice.
struct SimJournalRules {
  bool fence = true;      // a commit of a stale owner epoch is refused
  bool seq_check = true;  // only the next number applies, one at or below the last is "already"
};

// The journal of one position in memory, for tests: applies commits as Journal promises, and judges each.
class SimJournal {
 public:
  using At = std::pair<std::int32_t, std::int64_t>;  // partition, offset
  struct Partition {
    std::int64_t cursor = 0;
    std::int64_t dispatched_through = 0;
  };

  explicit SimJournal(std::int32_t partitions = 1, SimJournalRules rules = {}) : rules_(rules) {
    for (std::int32_t p = 0; p < partitions; ++p) partitions_[p] = {};
  }

  LoadedPosition load() {
    LoadedPosition loaded;
    loaded.position = PositionUid{1};
    loaded.owner_epoch = OwnerEpoch{++epoch_};
    seq_ = 0;
    loaded.pass = Pass{1};
    for (const auto& [id, partition] : partitions_) {
      LoadedPartition row{PartitionId{id}, Offset{partition.cursor}, Offset{partition.dispatched_through}, {}, {}, {}};
      for (const auto& [at, state] : final_)
        if (at.first == id && at.second >= partition.cursor)
          row.finished.push_back({row.partition, Offset{at.second}, 1, state});
      loaded.partitions.push_back(std::move(row));
    }
    for (const auto& [at, row] : failures_) loaded.failures.push_back(row);
    return loaded;
  }

  Status add_partition(std::int64_t epoch, std::int32_t partition) {
    if (epoch != epoch_) return fail(ErrorCode::Fenced, "Another owner has loaded the position.");
    partitions_.try_emplace(partition);
    return {};
  }
  [[nodiscard]] bool knows(std::int32_t partition) const { return partitions_.contains(partition); }

  Result<CommitAnswer> apply(const JournalCommit& commit) {
    const bool stale = commit.owner_epoch.value != epoch_;
    if (stale && rules_.fence) return fail(ErrorCode::Fenced, "Another owner has loaded the position.");
    if (rules_.seq_check && commit.seq.value <= seq_) return CommitAnswer::Already;
    if (rules_.seq_check && commit.seq.value != seq_ + 1) return fail(ErrorCode::Internal, "A number was left out.");
    if (stale) blame("I9: a commit of epoch {} was applied in epoch {}", commit.owner_epoch.value, epoch_);
    seq_ = std::max(seq_, commit.seq.value);
    finish(commit);
    charge(commit);
    move_cursors(commit);
    for (const auto& letter : commit.dead_letters) dead_letters_.push_back(letter);
    for (const auto& publication : commit.publications) publish(publication);
    return CommitAnswer::Applied;
  }

  [[nodiscard]] FinalState state(At at) const {
    const auto found = final_.find(at);
    return found == final_.end() ? FinalState::None : found->second;
  }
  [[nodiscard]] std::int32_t charged(At at) const {
    const auto found = charged_.find(at);
    return found == charged_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::int64_t cursor(std::int32_t partition = 0) const { return partitions_.at(partition).cursor; }
  [[nodiscard]] std::int64_t dispatched_through(std::int32_t partition = 0) const {
    return partitions_.at(partition).dispatched_through;
  }
  [[nodiscard]] std::int64_t epoch() const { return epoch_; }
  [[nodiscard]] const std::map<At, StoredFailure>& failures() const { return failures_; }
  [[nodiscard]] const std::vector<DeadLetter>& dead_letters() const { return dead_letters_; }
  [[nodiscard]] const std::vector<Publication>& published() const { return published_; }
  // How often each output is there, by topic and origin.
  [[nodiscard]] const std::map<std::string, int>& outputs() const { return outputs_; }
  // What was wrong with the commits so far.
  [[nodiscard]] const std::vector<std::string>& blames() const { return blames_; }

 private:
  template <typename... Args>
  void blame(fmt::format_string<Args...> format, Args&&... args) {
    blames_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void finish(const JournalCommit& commit) {
    for (const auto& range : commit.finished) {
      for (std::int64_t i = 0; i < range.count; ++i) {
        const At at{range.partition.value, range.first.value + i};
        if (state(at) != FinalState::None) blame("I1: offset {} ended twice", at.second);
        final_[at] = range.state;
        failures_.erase(at);
      }
    }
    for (const auto& letter : commit.dead_letters) {
      const At at{letter.run.partition.value, letter.run.offset.value};
      if (state(at) != FinalState::DeadLettered) blame("I1: a dead letter of offset {} that did not end so", at.second);
      charged_[at] = letter.attempts;
    }
  }

  void charge(const JournalCommit& commit) {
    for (const auto& row : commit.failures) {
      const At at{row.partition.value, row.offset.value};
      if (state(at) != FinalState::None) blame("I1: offset {} failed after it had ended", at.second);
      if (row.charged != charged(at) + 1)
        blame("I6: the charges of offset {} went from {} to {}", at.second, charged(at), row.charged);
      charged_[at] = row.charged;
      failures_[at] = row;
    }
  }

  void move_cursors(const JournalCommit& commit) {
    for (const auto& moved : commit.partitions) {
      Partition& partition = partitions_.at(moved.partition.value);
      if (moved.cursor.value < partition.cursor) blame("I4: the cursor went back to {}", moved.cursor.value);
      if (moved.dispatched_through.value < partition.dispatched_through)
        blame("dispatched_through went back to {}", moved.dispatched_through.value);
      for (std::int64_t offset = partition.cursor; offset < moved.cursor.value; ++offset)
        if (state({moved.partition.value, offset}) == FinalState::None)
          blame("I4: the cursor {} passed offset {}, which has not ended", moved.cursor.value, offset);
      partition = {moved.cursor.value, moved.dispatched_through.value};
    }
  }

  void publish(const Publication& publication) {
    published_.push_back(publication);
    for (const auto& header : publication.message.headers)
      if (header.name == kOriginHeader && ++outputs_[publication.topic + " " + *header.value] > 1)
        blame("an output went out twice: {} {}", publication.topic, *header.value);
  }

  SimJournalRules rules_;
  std::int64_t epoch_ = 0;
  std::int64_t seq_ = 0;
  std::map<std::int32_t, Partition> partitions_;
  std::map<At, FinalState> final_;
  std::map<At, StoredFailure> failures_;
  std::map<At, std::int32_t> charged_;
  std::vector<DeadLetter> dead_letters_;
  std::vector<Publication> published_;
  std::map<std::string, int> outputs_;
  std::vector<std::string> blames_;
};

}  // namespace dhub::delivery
