// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/message.h"
#include "model/topic.h"
#include "ports/answer.h"

namespace dhub {

struct PublishRequest {
  std::string topic;
  std::vector<Message> messages;
  std::string idempotency_key;  // empty: none. Remembered for 24 h; the first placements are answered again.
  bool create_topic = true;     // make the topic (1 partition, default retention) when there is none
};
// Called once, on a thread of the log, or within publish() when it is turned away; must be quick and must not call back
// into the log.
using PublishDone = Answer<std::vector<Placement>>;

// Offsets are not dense in every log, so a read says how far it got, which may be past the last record.
struct ReadResult {
  RecordBatchRef batch;      // may hold no records; never null
  Offset next_offset{};      // read on from here
  bool end_reached = false;  // nothing more at `next_offset` at this moment
  bool pending = false;      // nothing yet, but more is on its way: ask again when the reader's on_news is called
  // Where the log begins and ends, as far as is known after the records were read: what is missing below the start,
  // retention took.
  Offset log_start{};
  Offset log_end{};
};

// Something has happened to a topic that is read: this partition has grown, or what was awaited has come; none: all
// partitions are to be looked at (there may be more of them, or an error is over). Called on a thread of the log; must
// only post.
using OnNews = std::function<void(std::optional<PartitionId>)>;

// How a subscription reads its topic. Used by one thread at a time; never waits for a network. Errors stay until they
// are over: Unavailable (the log cannot be reached), NotFound (the topic is gone), PermissionDenied, Conflict (another
// topic has taken the name), Corruption (the log ends before what was read from it). on_news tells of their end.
class TopicReader {
 public:
  virtual ~TopicReader() = default;
  // As EventLog::read. Meant to go on where the last read of the partition ended; anything else costs a seek.
  virtual Result<ReadResult> read(PartitionId partition, Offset from, std::size_t max_bytes) = 0;
};

// Topics: durable append, read by offset, word of growth. Thread-safe. Control calls block until they are durable
// (milliseconds); reads block for at most one read of the disk; publishing never blocks.
class EventLog {
 public:
  virtual ~EventLog() = default;

  // AlreadyExists when there is one of that name.
  virtual Result<Topic> create_topic(const std::string& name, const TopicSettings& settings) = 0;
  // The topic of that name, made with default settings when there is none.
  virtual Result<Topic> ensure_topic(const std::string& name) = 0;
  // Changes retention; Conflict when `partitions` differs.
  virtual Result<Topic> update_topic(const std::string& name, const TopicSettings& settings) = 0;
  virtual Result<Topic> topic(const std::string& name) const = 0;
  // What is known of it at this moment, never waiting for a network. Conflict: its name is another topic's by now.
  virtual Result<Topic> topic(TopicUid uid) const = 0;
  // By name, those after `after`.
  virtual Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const = 0;
  // Conflict while a trigger is bound to it (running or paused).
  virtual Status delete_topic(const std::string& name) = 0;

  // All of the messages or none; `done` after they are on disk. Messages without a key all go to one partition, chosen
  // anew for each request. StorageFull below the disk reserve.
  virtual void publish(PublishRequest request, PublishDone done) = 0;

  // Records of one partition from `from` on, about `max_bytes` of them and at least one when there is one.
  // NotFound: no such topic or partition. OutOfRange is told by `start`/`end` of topic(): a `from` below the start is
  // read from the start (the caller compares the first offset).
  virtual Result<ReadResult> read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const = 0;

  // `on_news` is called after each durable append to the topic, soon and at least once per group commit and partition,
  // and when the reader has other news. Not called any more once the reader is gone.
  [[nodiscard]] virtual std::unique_ptr<TopicReader> open_reader(TopicUid topic, OnNews on_news) = 0;

  // A log that others look at too is told how far the work has come, as the offsets of a consumer group. Never blocks,
  // may be late or lost, is never ahead of what the journal has stored. The embedded log ignores it.
  virtual void note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) = 0;
  // The offsets that a consumer group of the log has committed; empty when it has none. Conflict while members of the
  // group are reading. InvalidArgument in the embedded log, which has no groups. May wait for a network.
  virtual Result<std::vector<StartOffset>> group_offsets(TopicUid topic, const std::string& group) const = 0;
};

}  // namespace dhub
