// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/outbox_tracker.h"

#include <set>
#include <utility>

namespace dhub::store {

// Shares the tracker: a handle may be dropped after the store is.
class OutboxTracker::Handle : public Outbox::Watch {
 public:
  Handle(std::shared_ptr<OutboxTracker> tracker, std::uint64_t id) : tracker_(std::move(tracker)), id_(id) {}
  ~Handle() override { tracker_->forget(id_); }

 private:
  std::shared_ptr<OutboxTracker> tracker_;
  std::uint64_t id_;
};

void OutboxTracker::added(const std::vector<OutboxRow>& rows) {
  if (rows.empty()) return;
  std::lock_guard lock(mutex_);
  std::set<std::string> grown;
  for (const auto& row : rows) {
    Outbox::Backlog& waiting = backlogs_[row.topic];
    ++waiting.entries;
    waiting.bytes += static_cast<std::int64_t>(row.record.size());
    grown.insert(row.topic);
  }
  for (const auto& topic : grown)
    for (const auto& [id, on_growth] : watches_) on_growth(topic);
}

void OutboxTracker::removed(const std::string& topic, const Outbox::Backlog& gone) {
  std::lock_guard lock(mutex_);
  const auto waiting = backlogs_.find(topic);
  if (waiting == backlogs_.end()) return;
  waiting->second.entries -= gone.entries;
  waiting->second.bytes -= gone.bytes;
  if (waiting->second.entries == 0) backlogs_.erase(waiting);
}

Outbox::Backlog OutboxTracker::backlog(const std::string& topic) const {
  std::lock_guard lock(mutex_);
  const auto waiting = backlogs_.find(topic);
  return waiting == backlogs_.end() ? Outbox::Backlog{} : waiting->second;
}

Outbox::Backlog OutboxTracker::total() const {
  std::lock_guard lock(mutex_);
  Outbox::Backlog total;
  for (const auto& [topic, waiting] : backlogs_) {
    total.entries += waiting.entries;
    total.bytes += waiting.bytes;
  }
  return total;
}

std::vector<std::string> OutboxTracker::topics() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> topics;
  for (const auto& [topic, waiting] : backlogs_) topics.push_back(topic);
  return topics;
}

std::unique_ptr<Outbox::Watch> OutboxTracker::watch(std::function<void(const std::string&)> on_growth) {
  std::uint64_t id = 0;
  {
    std::lock_guard lock(mutex_);
    id = ++last_id_;
    watches_[id] = std::move(on_growth);
  }
  return std::make_unique<Handle>(shared_from_this(), id);
}

void OutboxTracker::forget(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  watches_.erase(id);
}

}  // namespace dhub::store
