// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "eventlog/kafka/closer.h"
#include "eventlog/kafka/inspector.h"
#include "eventlog/kafka/live_feeds.h"
#include "eventlog/kafka/stall_watch.h"
#include "eventlog/kafka/topic_table.h"
#include "ports/event_log.h"

namespace dhub::kafka {

// Who reads by a client of his own for a while.
class Borrower {
 public:
  virtual ~Borrower() = default;
  // Others wait, and his turn is over: lets go of the client. Under the streams' lock.
  virtual void revoke() = 0;
};

// The clients that the readers of a cluster share: one for all who follow the head, and a bounded number for those who
// are behind, each for one reader at a time. Thread-safe.
class Streams {
 public:
  Streams(Properties consumer, HandleEvents events, TopicTable& table, Inspector& inspector);
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  // A client for reading on one's own; under the lock. None at the moment: the listener `id` hears when to ask again.
  // Records that it lends keep it alive after it was given back.
  Result<std::shared_ptr<Handle>> borrow(Borrower& who, std::uint64_t id);
  // Under the lock. Nothing when he has none.
  void give_back(Borrower& who);
  // Serves what the clients have to tell, and sees to it that turns are taken. Somebody calls it every second or so.
  void poll();
  [[nodiscard]] Result<std::shared_ptr<Handle>> open_handle(const Properties& also = {});
  // For feeds: has an inspection that began after the first call seen the topic as it should be? The listeners of the
  // topic hear of the partition when it is worth asking again.
  [[nodiscard]] bool confirm(const LiveFeeds::Key& key, std::uint64_t& asked);

  std::mutex mutex;  // of `live`, and of what belongs to single readers
  LiveFeeds live;

 private:
  void call_next();
  struct Loaned {
    Borrower* who = nullptr;
    std::uint64_t id = 0;  // of his listener
    Instant since{};
  };

  const Properties consumer_;
  const HandleEvents events_;
  TopicTable& table_;
  Inspector& inspector_;
  std::vector<Loaned> loaned_;       // this and the queue under the lock
  std::deque<std::uint64_t> queue_;  // listeners that wait for a client
  std::shared_ptr<Closer> closer_;   // shared: with clients that records keep alive longer than us
  std::mutex open_mutex_;
  std::vector<std::weak_ptr<Handle>> open_;
  bool close_is_late_ = false;
};

// One subscription's way through a topic: with the others at its head, or on its own while it is behind.
class Reader final : public TopicReader, private Borrower {
 public:
  Reader(Streams& streams, TopicTable& table, Inspector& inspector, TopicUid uid, OnNews on_news);
  ~Reader() override;

  Result<ReadResult> read(PartitionId partition, Offset from, std::size_t max_bytes) override;

 private:
  struct Part {
    std::unique_ptr<Feed> own;
    bool out_of_range = false;  // until an inspection later than `round` says where the log begins and ends
    std::uint64_t round = 0;
    std::optional<Error> error;    // of the last read, until something comes
    std::optional<Instant> again;  // nothing is read until then
    StallWatch watch;
  };

  Result<std::optional<ReadResult>> settle_range(Part& part, const TopicStanding& view, const PartitionRange& range,
                                                 Offset from);
  Result<ReadResult> stream(const TopicStanding& view, const PartitionRange& range, Offset from, std::size_t max_bytes);
  Result<Feed::Taken> take_own(Part& part, const TopicStanding& view, PartitionId partition, Offset from,
                               std::size_t max_bytes);
  Result<ReadResult> result_of(Part& part, const TopicStanding& view, Feed::Taken taken);
  [[nodiscard]] Error begin_anew(Part& part, const TopicStanding& view, const LiveFeeds::Key& key, Offset from);
  void give_back_if_unused();
  void revoke() override;

  Streams& streams_;
  TopicTable& table_;
  Inspector& inspector_;
  const TopicUid uid_;
  const std::uint64_t id_;
  std::map<PartitionId, Part> parts_;
  std::shared_ptr<Handle> handle_;  // shared: with the records that it lent. None while nothing is read on one's own
};

}  // namespace dhub::kafka
