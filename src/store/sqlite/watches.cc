// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/watches.h"

#include <utility>

namespace dhub::store {

// Shares the registry: a handle may be dropped after the store is.
class Watches::Handle : public Watch {
 public:
  Handle(std::shared_ptr<Watches> watches, TopicUid topic, std::uint64_t id)
      : watches_(std::move(watches)), topic_(topic), id_(id) {}
  ~Handle() override { watches_->remove(topic_, id_); }

 private:
  std::shared_ptr<Watches> watches_;
  TopicUid topic_;
  std::uint64_t id_;
};

std::unique_ptr<Watches::Watch> Watches::add(TopicUid topic, OnNews on_news) {
  std::uint64_t id = 0;
  {
    std::lock_guard lock(mutex_);
    id = ++last_id_;
    by_topic_[topic][id] = std::move(on_news);
  }
  return std::make_unique<Handle>(shared_from_this(), topic, id);
}

void Watches::grew(const std::vector<GrownPartition>& partitions) {
  std::lock_guard lock(mutex_);
  for (const auto& [topic, partition] : partitions) {
    const auto watches = by_topic_.find(topic);
    if (watches == by_topic_.end()) continue;
    for (const auto& [id, on_news] : watches->second) on_news(partition);
  }
}

void Watches::remove(TopicUid topic, std::uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto watches = by_topic_.find(topic);
  if (watches == by_topic_.end()) return;
  watches->second.erase(id);
  if (watches->second.empty()) by_topic_.erase(watches);
}

}  // namespace dhub::store
