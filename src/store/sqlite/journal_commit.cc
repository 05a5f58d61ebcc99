// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/journal_commit.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "model/topic.h"
#include "store/sqlite/dead_letter_rows.h"
#include "store/sqlite/ledger.h"
#include "store/sqlite/position_rows.h"

namespace dhub::store {
namespace {

constexpr std::size_t kRowBytes = 256;  // a row without its texts, about

// The steps of one commit, in the order in which they are declared: checks, then writes, staging last.
class CommitWork {
 public:
  CommitWork(WriteContext& context, const PreparedCommit& prepared, const PositionHead& head)
      : context_(context),
        db_(context.db),
        prepared_(prepared),
        commit_(*prepared.commit),
        head_(head),
        ledger_(context.db, head.uid) {}

  Status finish_offsets();
  Status check_failures();
  Status check_dead_letters();
  Status move_cursors();
  Status write_rows();
  Status post();
  Status publish();

 private:
  Result<PartitionRow*> partition(PartitionId id);

  WriteContext& context_;
  Connection& db_;
  const PreparedCommit& prepared_;
  const JournalCommit& commit_;
  const PositionHead& head_;
  LedgerEdit ledger_;
  std::map<PartitionId, PartitionRow> partitions_;  // read on first use
};

Result<PartitionRow*> CommitWork::partition(PartitionId id) {
  if (const auto known = partitions_.find(id); known != partitions_.end()) return &known->second;
  ASSIGN_OR_RETURN(const auto row, partition_row(db_, head_.uid, id));
  if (!row) return fail(ErrorCode::Internal, fmt::format("A commit names partition {}, which was not loaded.", id));
  return &(partitions_[id] = *row);
}

Status CommitWork::finish_offsets() {
  for (const auto& range : commit_.finished) {
    ASSIGN_OR_RETURN(const PartitionRow* row, partition(range.partition));
    const bool well_formed = range.count > 0 && range.state != FinalState::None && range.state <= FinalState::Absent;
    if (!well_formed) return fail(ErrorCode::Internal, "A commit finishes a range that is none.");
    if (range.first < row->cursor)
      return fail(ErrorCode::Corruption,
                  fmt::format("Offset {} of partition {} would be final twice (the cursor is at {}); nothing was "
                              "stored.",
                              range.first, range.partition, row->cursor));
    RETURN_IF_ERROR(ledger_.finish(range));
  }
  return {};
}

Status CommitWork::check_failures() {
  for (const auto& failure : commit_.failures) {
    ASSIGN_OR_RETURN(const PartitionRow* row, partition(failure.partition));
    if (failure.offset.value < 0) return fail(ErrorCode::Internal, "A commit charges an offset below 0.");
    ASSIGN_OR_RETURN(const FinalState state, ledger_.state_of(failure.partition, failure.offset.value));
    if (state != FinalState::None || failure.offset < row->cursor)
      return fail(ErrorCode::Corruption,
                  fmt::format("Offset {} of partition {} would be charged though it is final; nothing was stored.",
                              failure.offset, failure.partition));
  }
  return {};
}

Status CommitWork::check_dead_letters() {
  for (const auto& letter : commit_.dead_letters) {
    ASSIGN_OR_RETURN(const PartitionRow* row, partition(letter.run.partition));
    FinalState state = FinalState::None;
    if (letter.run.offset >= row->cursor) {
      ASSIGN_OR_RETURN(state, ledger_.state_of(letter.run.partition, letter.run.offset.value));
    }
    if (state != FinalState::DeadLettered)
      return fail(ErrorCode::Internal,
                  fmt::format("A commit brings a dead letter of offset {} of partition {}, but does not finish it so.",
                              letter.run.offset, letter.run.partition));
  }
  return {};
}

Status CommitWork::move_cursors() {
  for (const auto& moved : commit_.partitions) {
    ASSIGN_OR_RETURN(PartitionRow * row, partition(moved.partition));
    if (moved.cursor < row->cursor)
      return fail(ErrorCode::Internal, fmt::format("A commit would move the cursor of partition {} back from {} to {}.",
                                                   moved.partition, row->cursor, moved.cursor));
    ASSIGN_OR_RETURN(const std::int64_t unfinished,
                     ledger_.first_unfinished(moved.partition, row->cursor.value, moved.cursor.value));
    if (unfinished < moved.cursor.value)
      return fail(ErrorCode::Internal,
                  fmt::format("A commit would move the cursor of partition {} past offset {}, which is not finished.",
                              moved.partition, unfinished));
    row->cursor = moved.cursor;
    row->dispatched_through = std::max(row->dispatched_through, moved.dispatched_through);
    RETURN_IF_ERROR(
        db_.run("UPDATE position_partitions SET cursor=?, dispatched_through=? WHERE position_uid=? AND partition=?",
                row->cursor, row->dispatched_through, head_.uid, moved.partition));
  }
  return {};
}

Status CommitWork::write_rows() {
  RETURN_IF_ERROR(ledger_.store());
  // Asked once: most positions have no failure, and then a delete for each range would be for nothing.
  ASSIGN_OR_RETURN(const bool any_failure, has_failures(db_, head_.uid));
  if (any_failure)
    for (const auto& range : commit_.finished) RETURN_IF_ERROR(remove_failures(db_, head_.uid, range));
  for (std::size_t i = 0; i < commit_.failures.size(); ++i)
    RETURN_IF_ERROR(put_failure(db_, head_.uid, commit_.failures[i], prepared_.failures[i]));
  for (std::size_t i = 0; i < commit_.dead_letters.size(); ++i) {
    DeadLetter letter = commit_.dead_letters[i];
    letter.position = head_.uid;
    RETURN_IF_ERROR(insert_dead_letter(db_, head_.pipeline, letter, prepared_.dead_letters[i], context_.now.wall));
  }
  return db_.run("UPDATE positions SET last_seq=? WHERE uid=?", commit_.seq, head_.uid);
}

Status CommitWork::publish() {
  std::vector<Appender::Head*> heads;
  for (const auto& [topic, messages] : prepared_.publications) {
    ASSIGN_OR_RETURN(Appender::Head * head, context_.appender.topic(topic, true, context_.now.wall));
    heads.push_back(head);
  }
  for (std::size_t i = 0; i < heads.size(); ++i)
    context_.appender.stage(*heads[i], prepared_.publications[i].second, context_.now.wall);
  return {};
}

Status CommitWork::post() {
  for (const auto& row : prepared_.outbox) RETURN_IF_ERROR(insert_outbox_row(db_, row, context_.now.wall));
  return {};
}

Status encode_into(const Message& message, std::vector<std::string>& records, std::size_t& bytes) {
  ASSIGN_OR_RETURN(auto encoded, encode_messages({message}));
  bytes += encoded.bytes.size() + kRowBytes;
  records.push_back(std::move(encoded.bytes));
  return {};
}

// The name of an embedded topic in the store, which may be published to with its cluster's.
std::string embedded_name(const std::string& topic) {
  const std::string prefix = std::string(kEmbeddedCluster) + "/";
  return topic.starts_with(prefix) ? topic.substr(prefix.size()) : topic;
}

// Embedded ones by topic, for they become batches; the others one by one, as they are sent.
Status encode_publications(PreparedCommit& prepared, const ClusterOf& cluster_of) {
  std::map<std::string, std::size_t> by_topic;
  for (const auto& publication : prepared.commit->publications) {
    ASSIGN_OR_RETURN(auto encoded, encode_messages({publication.message}));
    prepared.bytes += encoded.bytes.size();
    if (const auto cluster = cluster_of(publication.topic); !cluster.empty()) {
      prepared.bytes += kRowBytes;
      ASSIGN_OR_RETURN(const TopicName name, parse_topic_name(publication.topic));
      prepared.outbox.push_back({cluster + "/" + name.topic, std::move(encoded.bytes)});
      continue;
    }
    const std::string name = embedded_name(publication.topic);
    const auto [place, is_new] = by_topic.try_emplace(name, prepared.publications.size());
    if (is_new) prepared.publications.emplace_back(name, EncodedMessages{});
    EncodedMessages& messages = prepared.publications[place->second].second;
    messages.bytes += encoded.bytes;
    messages.sizes.push_back(encoded.sizes.front());
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const PreparedCommit>> prepare_commit(JournalCommitRef commit, const ClusterOf& cluster_of) {
  auto prepared = std::make_shared<PreparedCommit>();  // shared: std::function copies
  prepared->commit = std::move(commit);
  const JournalCommit& given = *prepared->commit;
  prepared->bytes = kRowBytes * (1 + given.partitions.size()) + 8 * given.finished.size();
  for (const auto& failure : given.failures) {
    prepared->bytes += failure.results.size();
    RETURN_IF_ERROR(encode_into(failure.message, prepared->failures, prepared->bytes));
  }
  for (const auto& letter : given.dead_letters) {
    prepared->bytes += letter.trace.size();
    RETURN_IF_ERROR(encode_into(letter.message, prepared->dead_letters, prepared->bytes));
  }
  RETURN_IF_ERROR(encode_publications(*prepared, cluster_of));
  return prepared;
}

Result<CommitAnswer> apply_commit(WriteContext& context, const PreparedCommit& prepared) {
  const JournalCommit& commit = *prepared.commit;
  const auto head = find_position(context.db, commit.position);
  if (!head && head.error().code != ErrorCode::NotFound) return fail(head.error());
  if (!head || head->owner_epoch != commit.owner_epoch)
    return fail(ErrorCode::Fenced, "A newer owner has taken over this position; nothing was stored.");
  if (head->pass != commit.pass)
    return fail(ErrorCode::Fenced, "This position was sent elsewhere by a new start; nothing was stored.");
  if (commit.seq <= head->last_seq) return CommitAnswer::Already;
  if (commit.seq.value != head->last_seq.value + 1)
    return fail(ErrorCode::Internal, fmt::format("Commit {} came after commit {}: one between them is missing.",
                                                 commit.seq, head->last_seq));
  CommitWork work(context, prepared, *head);
  RETURN_IF_ERROR(work.finish_offsets());
  RETURN_IF_ERROR(work.check_failures());
  RETURN_IF_ERROR(work.check_dead_letters());
  RETURN_IF_ERROR(work.move_cursors());
  RETURN_IF_ERROR(work.write_rows());
  RETURN_IF_ERROR(work.post());
  RETURN_IF_ERROR(work.publish());
  return CommitAnswer::Applied;
}

}  // namespace dhub::store
