// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/topic_table.h"

#include <algorithm>
#include <utility>

namespace dhub::kafka {

std::optional<TopicView> TopicTable::find(TopicUid uid) const {
  std::lock_guard lock(mutex_);
  const auto found = views_.find(uid);
  return found == views_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<TopicView> TopicTable::find(const std::string& name) const {
  std::lock_guard lock(mutex_);
  const auto uid = by_name_.find(name);
  if (uid == by_name_.end()) return std::nullopt;
  const auto found = views_.find(uid->second);
  return found == views_.end() ? std::nullopt : std::optional(found->second);
}

void TopicTable::put(TopicView view) {
  std::lock_guard lock(mutex_);
  const TopicUid uid = view.uid;
  const auto before = views_.find(uid);
  // A reader has learnt more since that round began.
  if (before != views_.end() && before->second.error && view.round > 0 && view.round <= before->second.round) return;
  by_name_[view.name] = uid;
  const auto same_end = [](const PartitionRange& a, const PartitionRange& b) { return a.end == b.end; };
  const bool news = before == views_.end() || before->second.error.has_value() != view.error.has_value() ||
                    before->second.raised ||
                    !std::equal(before->second.partitions.begin(), before->second.partitions.end(),
                                view.partitions.begin(), view.partitions.end(), same_end);
  // The brokers were asked before the ends were raised, so this once the higher one is right. Not for ever: a log may
  // also become shorter.
  if (before != views_.end() && before->second.raised)
    for (std::size_t i = 0; i < std::min(view.partitions.size(), before->second.partitions.size()); ++i)
      view.partitions[i].end = std::max(view.partitions[i].end, before->second.partitions[i].end);
  if (before != views_.end()) view.round = std::max(view.round, before->second.round);
  views_.insert_or_assign(uid, std::move(view));
  if (news) notify_locked(uid);
}

void TopicTable::raise_end(const std::string& name, PartitionId partition, Offset end) {
  std::lock_guard lock(mutex_);
  const auto uid = by_name_.find(name);
  const auto found = uid == by_name_.end() ? views_.end() : views_.find(uid->second);
  if (found == views_.end() || partition.value < 0) return;
  const auto place = static_cast<std::size_t>(partition.value);
  if (place >= found->second.partitions.size() || found->second.partitions[place].end >= end) return;
  found->second.partitions[place].end = end;
  found->second.raised = true;
}

void TopicTable::set_error(TopicUid uid, Error error, std::uint64_t round) {
  std::lock_guard lock(mutex_);
  TopicView& view = views_[uid];
  view.uid = uid;
  view.round = round;
  const bool news = !view.error || view.error->code != error.code;
  view.error = std::move(error);
  if (news) notify_locked(uid);
}

std::uint64_t TopicTable::add_listener(TopicUid uid, std::function<void()> on_news) {
  std::lock_guard lock(mutex_);
  const std::uint64_t id = ++last_listener_;
  listeners_[id] = {uid, std::move(on_news)};
  by_topic_.emplace(uid, id);
  return id;
}

void TopicTable::remove_listener(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = listeners_.find(id);
  if (found == listeners_.end()) return;
  const auto [first, last] = by_topic_.equal_range(found->second.uid);
  const auto entry = std::find_if(first, last, [&](const auto& pair) { return pair.second == id; });
  if (entry != last) by_topic_.erase(entry);
  listeners_.erase(found);
}

void TopicTable::notify(TopicUid uid) {
  std::lock_guard lock(mutex_);
  notify_locked(uid);
}

void TopicTable::notify_locked(TopicUid uid) {
  const auto [first, last] = by_topic_.equal_range(uid);
  for (auto entry = first; entry != last; ++entry) listeners_.at(entry->second).on_news();
}

void TopicTable::notify_listener(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = listeners_.find(id);
  if (found != listeners_.end()) found->second.on_news();
}

void TopicTable::want(TopicUid uid, Instant until) {
  std::lock_guard lock(mutex_);
  Instant& kept = wanted_[uid];
  kept = std::max(kept, until);
}

std::vector<TopicUid> TopicTable::wanted(Instant now) {
  std::lock_guard lock(mutex_);
  std::erase_if(wanted_, [&](const auto& entry) { return entry.second < now; });
  std::vector<TopicUid> uids;
  for (const auto& [uid, until] : wanted_) uids.push_back(uid);
  for (const auto& [uid, listener] : by_topic_)
    if (uids.empty() || uids.back() != uid) uids.push_back(uid);
  std::sort(uids.begin(), uids.end());
  uids.erase(std::unique(uids.begin(), uids.end()), uids.end());
  return uids;
}

}  // namespace dhub::kafka
