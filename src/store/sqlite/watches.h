// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "model/ids.h"

namespace dhub::store {

// Who wants to hear that a topic grew. Thread-safe. Callbacks run under the lock, so that none is under way when a
// watch is gone; that is why they must only post.
class Watches : public std::enable_shared_from_this<Watches> {
 public:
  // Stops when it is destroyed; no call is under way after that.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  std::unique_ptr<Watch> add(TopicUid topic, std::function<void()> on_growth);
  void grew(const std::vector<TopicUid>& topics);

 private:
  class Handle;
  void remove(TopicUid topic, std::uint64_t id);

  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::map<TopicUid, std::map<std::uint64_t, std::function<void()>>> by_topic_;
};

}  // namespace dhub::store
