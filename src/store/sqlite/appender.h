// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/topic.h"
#include "store/sqlite/batch_format.h"
#include "store/sqlite/sqlite.h"
#include "store/sqlite/watches.h"

namespace dhub::store {

// Gives offsets to messages and gathers them in memory: per transaction and partition one batch, closed at 256 KiB.
// Belongs to the writer's thread. A request stages as its last step, when nothing can refuse it any more.
class Appender {
 public:
  // A topic as appending needs it. Stays valid until the transaction ends or the topic is forgotten.
  struct Head {
    TopicUid uid{};
    std::vector<std::int64_t> next;  // per partition, staged messages included
    std::uint64_t keyless_turn = 0;  // where the next request without keys goes
  };

  explicit Appender(Connection& db) : db_(db) {}
  Appender(const Appender&) = delete;
  Appender& operator=(const Appender&) = delete;

  // NotFound when there is none and it is not to be made.
  Result<Head*> topic(const std::string& name, bool create, WallTime now);

  // Gives the messages their places, in order; those without a key all go to one partition.
  std::vector<Placement> stage(Head& head, const EncodedMessages& messages, WallTime now);

  // Writes what is staged into the transaction.
  Status flush();

  // Around a request in a savepoint: what was made in a request that is undone is not there.
  void begin_request() { made_.clear(); }
  void undo_request();

  void forget(const std::string& name) { heads_.erase(name); }
  // The transaction is over. Answers what grew in it, each once.
  std::vector<GrownPartition> committed();
  void rolled_back();

  [[nodiscard]] std::uint64_t messages() const { return messages_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  using Place = std::pair<std::int64_t, std::int32_t>;  // topic uid, partition
  struct OpenBatch {
    std::int64_t base = 0;
    std::uint32_t count = 0;
    std::int64_t newest_ms = 0;
    std::string data;
  };

  void append(TopicUid topic, Placement placement, std::string_view record, WallTime now);
  Status write(const Place& place, OpenBatch& batch);

  Connection& db_;
  std::unordered_map<std::string, Head> heads_;  // dropped whole when it grows past a bound
  std::vector<std::string> made_;
  std::map<Place, std::vector<OpenBatch>> staged_;
  std::vector<GrownPartition> grown_;
  std::uint64_t fresh_messages_ = 0;  // written in this transaction
  std::uint64_t fresh_bytes_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace dhub::store
