// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/topic_table.h"

#include <algorithm>
#include <utility>

namespace dhub::kafka {

const TopicView* TopicTable::view_of(TopicUid uid) const {
  const auto found = views_.find(uid);
  return found == views_.end() ? nullptr : &found->second.view;
}

const TopicView* TopicTable::view_of(const std::string& name) const {
  const auto uid = by_name_.find(name);
  return uid == by_name_.end() ? nullptr : view_of(uid->second);
}

std::optional<TopicView> TopicTable::find(TopicUid uid) const {
  std::lock_guard lock(mutex_);
  const TopicView* view = view_of(uid);
  return view == nullptr ? std::nullopt : std::optional(*view);
}

std::optional<TopicView> TopicTable::find(const std::string& name) const {
  std::lock_guard lock(mutex_);
  const TopicView* view = view_of(name);
  return view == nullptr ? std::nullopt : std::optional(*view);
}

std::optional<TopicStanding> TopicTable::standing(TopicUid uid) const {
  std::lock_guard lock(mutex_);
  const TopicView* view = view_of(uid);
  return view == nullptr ? std::nullopt : std::optional<TopicStanding>(*view);
}

std::optional<TopicStanding> TopicTable::standing(const std::string& name) const {
  std::lock_guard lock(mutex_);
  const TopicView* view = view_of(name);
  return view == nullptr ? std::nullopt : std::optional<TopicStanding>(*view);
}

std::optional<TopicStanding> TopicTable::standing(TopicUid uid, PartitionId partition,
                                                  std::optional<PartitionRange>& range) const {
  std::lock_guard lock(mutex_);
  const TopicView* view = view_of(uid);
  if (view == nullptr) return std::nullopt;
  const auto place = static_cast<std::size_t>(partition.value);
  if (partition.value >= 0 && place < view->partitions.size()) range = view->partitions[place];
  return *view;
}

void TopicTable::put(TopicView view) {
  std::lock_guard lock(mutex_);
  const TopicUid uid = view.uid;
  const auto [entry, is_new] = views_.try_emplace(uid);
  auto& [before, raised] = entry->second;
  // A reader has learnt more since that round began.
  if (before.error && view.round > 0 && view.round <= before.round) return;
  by_name_[view.name] = uid;
  const bool all_news = is_new || before.error.has_value() != view.error.has_value() ||
                        before.partitions.size() != view.partitions.size();
  std::vector<PartitionId> news;
  for (std::size_t i = 0; i < std::min(view.partitions.size(), before.partitions.size()); ++i) {
    PartitionRange& range = view.partitions[i];
    const bool was_raised = raised.contains(range.partition);
    // The brokers were asked before the end was raised, so this once the higher one is right. Not for ever: a log may
    // also become shorter.
    if (was_raised) range.end = std::max(range.end, before.partitions[i].end);
    if (was_raised || range.end != before.partitions[i].end) news.push_back(range.partition);
  }
  view.round = std::max(view.round, before.round);
  before = std::move(view);
  raised.clear();
  if (all_news) return notify_locked(uid, std::nullopt);
  for (const PartitionId partition : news) notify_locked(uid, partition);
}

void TopicTable::raise_end(const std::string& name, PartitionId partition, Offset end) {
  std::lock_guard lock(mutex_);
  const auto uid = by_name_.find(name);
  const auto found = uid == by_name_.end() ? views_.end() : views_.find(uid->second);
  if (found == views_.end() || partition.value < 0) return;
  auto& [view, raised] = found->second;
  const auto place = static_cast<std::size_t>(partition.value);
  if (place >= view.partitions.size() || view.partitions[place].end >= end) return;
  view.partitions[place].end = end;
  raised.insert(partition);
}

void TopicTable::set_error(TopicUid uid, Error error, std::uint64_t round) {
  std::lock_guard lock(mutex_);
  TopicView& view = views_[uid].view;
  view.uid = uid;
  view.round = round;
  const bool news = !view.error || view.error->code != error.code;
  view.error = std::move(error);
  if (news) notify_locked(uid, std::nullopt);
}

std::uint64_t TopicTable::add_listener(TopicUid uid, OnNews on_news) {
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

void TopicTable::notify(TopicUid uid, std::optional<PartitionId> partition) {
  std::lock_guard lock(mutex_);
  notify_locked(uid, partition);
}

void TopicTable::notify_locked(TopicUid uid, std::optional<PartitionId> partition) {
  const auto [first, last] = by_topic_.equal_range(uid);
  for (auto entry = first; entry != last; ++entry) listeners_.at(entry->second).on_news(partition);
}

void TopicTable::notify_listener(std::uint64_t id, std::optional<PartitionId> partition) {
  std::lock_guard lock(mutex_);
  const auto found = listeners_.find(id);
  if (found != listeners_.end()) found->second.on_news(partition);
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
