// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "eventlog/kafka/handle.h"
#include "model/message.h"

namespace dhub::kafka {

// One partition of a topic as it streams in over a handle, from an offset on. The library fetches ahead up to its own
// bound; taking never waits. One owner, who calls from one thread at a time.
class Feed {
 public:
  // Whether the topic that has the name is the one that is meant, by a look that began after this was first asked. 0
  // says that it has not been asked; afterwards it is whatever the one who answers wants to remember.
  using Confirm = std::function<bool(std::uint64_t& asked)>;

  // `on_ready` is called on a thread of the library when something can be taken after take() found nothing more; it
  // must only post. Not called any more once the feed is stopped. A client learns a topic's identity when it begins to
  // read, so what comes first is held until `confirm` has said that the topic was still the one afterwards; from there
  // on the client itself notices another one. None: taken as it is.
  Feed(std::shared_ptr<Handle> handle, std::string topic, PartitionId partition, std::function<void()> on_ready,
       Confirm confirm);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // By number only: asking for "the beginning" on a new handle costs half a second.
  Status start(Offset from);
  void stop();
  [[nodiscard]] bool running() const { return running_; }

  enum class State {
    More,        // ask again at once
    Waiting,     // nothing at hand; on_ready tells
    AtEnd,       // nothing more in the log at this moment; on_ready tells
    OutOfRange,  // the offset is below the log's start or above its end: stopped
    Failed,      // `error` says why; the library goes on by itself, unless the topic is gone: stopped
  };
  struct Taken {
    RecordBatchRef batch;  // may be empty, never null
    Offset next{};         // where the feed goes on, past offsets that hold no record
    State state = State::Waiting;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  };
  // About `max_bytes` of records, by the average size of those before.
  Taken take(std::size_t max_bytes);
  // Where the next take() begins.
  [[nodiscard]] Offset next() const { return held_ ? held_from_ : next_; }
  [[nodiscard]] bool at_end() const { return at_end_; }

 private:
  struct TopicDeleter {
    void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  };
  struct QueueDeleter {
    void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  };
  [[nodiscard]] Taken nothing() const;
  Taken take_at_once(std::size_t max_bytes);
  void note(const rd_kafka_message_t& event, Taken& taken);

  std::shared_ptr<Handle> handle_;  // shared: with other feeds, and with records that are still held
  const std::string topic_;
  const PartitionId partition_;
  std::function<void()> on_ready_;
  const Confirm confirm_;
  std::unique_ptr<rd_kafka_topic_t, TopicDeleter> rd_topic_;
  std::unique_ptr<rd_kafka_queue_t, QueueDeleter> queue_;
  std::vector<rd_kafka_message_t*> scratch_;
  Offset next_{};
  std::size_t average_bytes_ = 1024;
  bool running_ = false;
  bool at_end_ = false;
  bool confirmed_ = false;
  std::uint64_t asked_ = 0;
  std::optional<Taken> held_;  // until it is confirmed
  Offset held_from_{};
};

}  // namespace dhub::kafka
