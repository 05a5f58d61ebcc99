// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "ports/event_log.h"
#include "ports/journal.h"

namespace dhub::service {

// Tells others who look at a topic's cluster how far a trigger has come: as the offsets of a consumer group, at most
// once a second, and never ahead of what the journal has stored. Does nothing for a topic of the embedded log, which
// nobody else looks at. Loop thread only.
class CursorTeller {
 public:
  CursorTeller(EventLog& log, TopicUid topic, std::string group, bool has_others)
      : log_(log), topic_(topic), group_(std::move(group)), has_others_(has_others) {}

  // These are stored.
  void stored(PartitionId partition, Offset cursor, Instant now);
  void stored(const JournalCommit& commit, Instant now) {
    for (const auto& partition : commit.partitions) stored(partition.partition, partition.cursor, now);
  }
  [[nodiscard]] std::optional<Instant> next_at() const { return tell_at_; }
  // Tells what has not been told.
  void tell(Instant now);

 private:
  EventLog& log_;
  const TopicUid topic_;
  const std::string group_;
  const bool has_others_;
  std::map<PartitionId, Offset> untold_;
  std::optional<Instant> told_at_;
  std::optional<Instant> tell_at_;
};

}  // namespace dhub::service
