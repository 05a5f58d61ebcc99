// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "model/ids.h"
#include "ports/event_log.h"

namespace dhub::store {

// A partition that got messages in a transaction.
struct GrownPartition {
  TopicUid topic{};
  PartitionId partition{};
  auto operator<=>(const GrownPartition&) const = default;
};

// Who wants to hear which partitions of a topic grew. Thread-safe. Callbacks run under the lock, so that none is under
// way when a watch is gone; that is why they must only post.
class Watches : public std::enable_shared_from_this<Watches> {
 public:
  // Stops when it is destroyed; no call is under way after that.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  std::unique_ptr<Watch> add(TopicUid topic, OnNews on_news);
  void grew(const std::vector<GrownPartition>& partitions);

 private:
  class Handle;
  void remove(TopicUid topic, std::uint64_t id);

  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::map<TopicUid, std::map<std::uint64_t, OnNews>> by_topic_;
};

}  // namespace dhub::store
