// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_journal.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <utility>

namespace dhub::simulation {
namespace {

std::vector<FinishedRange> finished_from(PartitionId id, const SimPosition::Part& part) {
  std::vector<FinishedRange> ranges;
  for (auto it = part.states.lower_bound(part.cursor); it != part.states.end(); ++it) {
    const bool joins = !ranges.empty() && ranges.back().state == it->second &&
                       ranges.back().first.value + ranges.back().count == it->first;
    if (joins)
      ++ranges.back().count;
    else
      ranges.push_back({id, Offset{it->first}, 1, it->second});
  }
  return ranges;
}

tl::unexpected<Error> no_position(PositionUid uid) {
  return fail(ErrorCode::NotFound, fmt::format("There is no position {}.", uid));
}

}  // namespace

void SimJournal::load(PositionUid uid, Answer<LoadedPosition> done) {
  disk_.call<LoadedPosition>([this, uid] { return load_now(uid); }, std::move(done));
}

Result<LoadedPosition> SimJournal::load_now(PositionUid uid) {
  if (disk_.faults.refuse_loads) return fail(*disk_.faults.refuse_loads);
  SimPosition* position = disk_.position(uid);
  if (position == nullptr) return no_position(uid);
  if (!disk_.lies.keep_epoch) ++position->epoch;
  position->last_seq = 0;
  LoadedPosition loaded;
  loaded.position = uid;
  loaded.owner_epoch = OwnerEpoch{position->epoch};
  loaded.pass = Pass{position->pass};
  for (auto& [id, part] : position->parts) {
    if (!position->clean) part.older_border = std::exchange(part.border, part.dispatched_through);
    loaded.partitions.push_back({id, Offset{part.cursor}, Offset{part.dispatched_through}, Offset{part.border},
                                 Offset{part.older_border}, finished_from(id, part)});
    for (const auto& [offset, failure] : part.failures) loaded.failures.push_back(failure);
  }
  position->clean = false;
  disk_.observer().loaded(uid, loaded.owner_epoch);
  return loaded;
}

void SimJournal::commit(JournalCommitRef commit, CommitDone done) {
  disk_.write([this, commit = std::move(commit), done = std::move(done)]() -> SimDisk::Answer {
    auto answer = take(*commit);
    return [this, position = commit->position, epoch = commit->owner_epoch, done, answer = std::move(answer)] {
      disk_.observer().commit_answered(position, epoch, answer.has_value());
      done(answer);
    };
  });
}

// The commit, and what the world does to it.
Result<CommitAnswer> SimJournal::take(const JournalCommit& commit) {
  const DiskFaults& faults = disk_.faults;
  if (faults.refuse_commits) return fail(*faults.refuse_commits);
  if (disk_.lies.forget_commits) return CommitAnswer::Applied;
  if (disk_.chance(faults.refuse_commit)) return fail(ErrorCode::Unavailable, "The disk is busy.");
  auto answer = apply(commit);
  if (answer && disk_.chance(faults.lose_answer)) return fail(ErrorCode::Unavailable, "No answer came.");
  return answer;
}

Result<CommitAnswer> SimJournal::apply(const JournalCommit& commit) {
  SimPosition* position = disk_.position(commit.position);
  const bool fenced =
      position == nullptr || position->epoch != commit.owner_epoch.value || position->pass != commit.pass.value;
  if (position == nullptr || (fenced && !disk_.lies.forget_fence))
    return fail(ErrorCode::Fenced, "A newer owner or pass has taken over.");
  if (!fenced && commit.seq.value <= position->last_seq) return CommitAnswer::Already;
  if (!fenced && commit.seq.value != position->last_seq + 1)
    return fail(ErrorCode::Internal, fmt::format("Commit {} after {}.", commit.seq, position->last_seq));
  if (!disk_.lies.forget_fence) {
    if (const auto sound = check(commit, *position); !sound) {
      disk_.observer().misused(sound.error().message);
      return fail(sound.error());
    }
  }
  store(commit, *position);
  disk_.observer().commit_applied(commit);
  return CommitAnswer::Applied;
}

// What a sound owner never asks for.
Status SimJournal::check(const JournalCommit& commit, const SimPosition& position) {
  std::map<PartitionId, std::map<std::int64_t, FinalState>> states;
  for (const auto& [id, part] : position.parts) states[id] = part.states;
  for (const auto& range : commit.finished) {
    const auto part = position.parts.find(range.partition);
    if (part == position.parts.end() || range.state == FinalState::None || range.count <= 0)
      return fail(ErrorCode::Internal, "A commit finishes a range that is none.");
    for (std::int64_t offset = range.first.value; offset < range.first.value + range.count; ++offset)
      if (offset < part->second.cursor || !states[range.partition].emplace(offset, range.state).second)
        return fail(ErrorCode::Corruption, fmt::format("Offset {} would be final twice.", offset));
  }
  for (const auto& failure : commit.failures)
    if (states[failure.partition].contains(failure.offset.value))
      return fail(ErrorCode::Corruption, fmt::format("Offset {} is final and charged.", failure.offset));
  for (const auto& letter : commit.dead_letters) {
    const auto found = states[letter.run.partition].find(letter.run.offset.value);
    if (found == states[letter.run.partition].end() || found->second != FinalState::DeadLettered)
      return fail(ErrorCode::Internal, fmt::format("Dead letter of {}, which is not finished so.", letter.run.offset));
  }
  for (const auto& moved : commit.partitions) {
    const auto part = position.parts.find(moved.partition);
    if (part == position.parts.end() || moved.cursor.value < part->second.cursor)
      return fail(ErrorCode::Internal, fmt::format("The cursor would go back to {}.", moved.cursor));
    for (std::int64_t offset = part->second.cursor; offset < moved.cursor.value; ++offset)
      if (!states[moved.partition].contains(offset))
        return fail(ErrorCode::Internal, fmt::format("The cursor would pass {}, which is not finished.", offset));
  }
  return {};
}

void SimJournal::store(const JournalCommit& commit, SimPosition& position) {
  position.last_seq = commit.seq.value;
  for (const auto& range : commit.finished) {
    auto& part = position.parts[range.partition];
    for (std::int64_t offset = range.first.value; offset < range.first.value + range.count; ++offset) {
      part.states.emplace(offset, range.state);
      part.failures.erase(offset);
      ++count_of(position.counts, range.state);
    }
  }
  for (const auto& failure : commit.failures)
    if (!disk_.lies.forget_failures) position.parts[failure.partition].failures[failure.offset.value] = failure;
  for (const auto& moved : commit.partitions) {
    auto& part = position.parts[moved.partition];
    part.cursor = std::max(part.cursor, moved.cursor.value);
    part.dispatched_through = std::max(part.dispatched_through, moved.dispatched_through.value);
  }
  auto& pipeline = disk_.pipelines[position.pipeline];
  for (DeadLetter letter : commit.dead_letters) {
    letter.position = position.uid;
    letter.number = ++pipeline.last_dead_letter;
    letter.created_at = disk_.now().wall;
    pipeline.dead_letters.push_back(std::move(letter));
  }
  if (!disk_.lies.forget_outputs) publish(commit);
  if (disk_.lies.double_outputs) publish(commit);
}

// Topics of the disk get theirs now, other clusters theirs by the outbox.
void SimJournal::publish(const JournalCommit& commit) {
  std::set<std::string> grown;
  for (const auto& publication : commit.publications) {
    const auto name = parse_topic_name(publication.topic);
    if (name && !name->cluster.empty() && name->cluster != kEmbeddedCluster) {
      OutboxEntry entry{++disk_.last_posted, publication.topic, publication.message};
      if (entry.message.timestamp.ms == 0) entry.message.timestamp = disk_.now().wall;
      disk_.outbox.push_back(std::move(entry));
      grown.insert(publication.topic);
      continue;
    }
    const std::string embedded = name ? name->topic : publication.topic;
    SimTopic* topic = disk_.topic(embedded);
    if (topic == nullptr) topic = &disk_.make_topic(embedded, {});
    (void)disk_.append(*topic, {publication.message});
  }
  for (const auto& cluster : grown)
    if (disk_.on_post) disk_.on_post(cluster);
}

void SimJournal::add_partitions(PositionUid uid, OwnerEpoch epoch, std::vector<StartOffset> fresh, Answer<void> done) {
  const auto add = [this, uid, epoch, fresh = std::move(fresh)]() -> Status {
    SimPosition* position = disk_.position(uid);
    if (position == nullptr || position->epoch != epoch.value)
      return fail(ErrorCode::Fenced, "A newer owner has taken over.");
    for (const auto& start : fresh) {
      SimPosition::Part part;
      part.first = part.cursor = part.dispatched_through = start.offset.value;
      position->parts.try_emplace(start.partition, part);
    }
    return {};
  };
  disk_.call<void>(add, std::move(done));
}

void SimJournal::release(PositionUid uid, OwnerEpoch epoch, Answer<void> done) {
  const auto release_it = [this, uid, epoch]() -> Status {
    SimPosition* position = disk_.position(uid);
    if (position == nullptr || position->epoch != epoch.value)
      return fail(ErrorCode::Fenced, "A newer owner has taken over.");
    position->clean = true;
    return {};
  };
  disk_.call<void>(release_it, std::move(done));
}

Result<OffsetState> SimJournal::state_of(PositionUid uid, PartitionId partition, Offset offset) const {
  const SimPosition* position = disk_.position(uid);
  if (position == nullptr) return no_position(uid);
  OffsetState answer;
  const auto part = position->parts.find(partition);
  if (part == position->parts.end()) return answer;
  if (const auto state = part->second.states.find(offset.value); state != part->second.states.end())
    answer.state = state->second;
  if (const auto row = part->second.failures.find(offset.value); row != part->second.failures.end())
    answer.failure = row->second;
  return answer;
}

Result<OutcomeCounts> SimJournal::counts(PositionUid uid) const {
  const SimPosition* position = disk_.position(uid);
  if (position == nullptr) return no_position(uid);
  return position->counts;
}

Result<std::vector<DeadLetter>> SimJournal::dead_letters(PipelineUid uid, std::int64_t before,
                                                         std::size_t limit) const {
  const SimPipeline* pipeline = disk_.pipeline(uid);
  std::vector<DeadLetter> answer;
  if (pipeline == nullptr) return answer;
  for (auto it = pipeline->dead_letters.rbegin(); it != pipeline->dead_letters.rend() && answer.size() < limit; ++it)
    if (before == 0 || it->number < before) answer.push_back(*it);
  return answer;
}

Result<DeadLetter> SimJournal::dead_letter(PipelineUid uid, std::int64_t number) const {
  if (const SimPipeline* pipeline = disk_.pipeline(uid))
    for (const auto& letter : pipeline->dead_letters)
      if (letter.number == number) return letter;
  return fail(ErrorCode::NotFound, fmt::format("There is no dead letter {}.", number));
}

}  // namespace dhub::simulation
