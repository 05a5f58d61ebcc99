// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "model/ids.h"

namespace dhub::service {

// Messages between cursors and ends, summed over partitions and kept as each of them moves.
class LagTracker {
 public:
  void set_cursor(PartitionId partition, Offset cursor) { set(partition, &Partition::cursor, cursor); }
  // A look at the whole topic counts as it is: a log may have lost its end.
  void set_end(PartitionId partition, Offset end) { set(partition, &Partition::end, end); }
  // A read tells of the end at its moment, which may be older than the one that is known.
  void raise_end(PartitionId partition, Offset end) {
    set(partition, &Partition::end, std::max(partitions_[partition].end, end));
  }
  [[nodiscard]] std::int64_t lag() const { return lag_; }
  [[nodiscard]] Offset end(PartitionId partition) const {
    const auto found = partitions_.find(partition);
    return found == partitions_.end() ? Offset{} : found->second.end;
  }

 private:
  struct Partition {
    Offset cursor{};
    Offset end{};
    [[nodiscard]] std::int64_t lag() const { return std::max<std::int64_t>(end.value - cursor.value, 0); }
  };
  void set(PartitionId id, Offset Partition::*field, Offset value) {
    Partition& partition = partitions_[id];
    lag_ -= partition.lag();
    partition.*field = value;
    lag_ += partition.lag();
  }

  std::unordered_map<PartitionId, Partition> partitions_;
  std::int64_t lag_ = 0;
};

}  // namespace dhub::service
