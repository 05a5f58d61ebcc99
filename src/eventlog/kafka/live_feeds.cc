// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/live_feeds.h"

#include <algorithm>

namespace dhub::kafka {
namespace {

constexpr std::size_t kKeptBytes = 8U << 20;  // of one partition, for those who are slower than the first

}  // namespace

Status LiveFeeds::start(Head& head, const Key& key, const std::string& topic, Offset at) {
  if (!handle_) {
    ASSIGN_OR_RETURN(handle_, open_handle_());
  }
  if (!head.feed)
    head.feed = std::make_unique<Feed>(
        handle_, topic, key.second, [this, key] { on_ready_(key); },
        [this, key](std::uint64_t& asked) { return confirm_(key, asked); });
  head.kept.clear();
  head.bytes = 0;
  head.first = at;
  return head.feed->start(at);
}

Result<bool> LiveFeeds::join(const Key& key, const std::string& topic, std::uint64_t reader, Offset at) {
  Head& head = heads_[key];
  const bool runs = head.feed && head.feed->running();
  if (runs && at < head.first) return false;
  if (!runs || at > head.feed->next()) {
    if (const Status started = start(head, key, topic, at); !started) {
      heads_.erase(key);
      return fail(started.error());
    }
  }
  head.followers[reader] = at;
  return true;
}

std::optional<Feed::Taken> LiveFeeds::take(const Key& key, std::uint64_t reader, Offset from, std::size_t max_bytes) {
  const auto found = heads_.find(key);
  if (found == heads_.end()) return std::nullopt;
  Head& head = found->second;
  const auto follower = head.followers.find(reader);
  if (follower == head.followers.end()) return std::nullopt;
  if (from < head.first || from > head.feed->next()) {
    leave(key, reader);
    return std::nullopt;
  }
  follower->second = from;
  forget_what_all_have(head);
  for (const Kept& kept : head.kept)
    if (kept.next > from) return Feed::Taken{kept.batch, kept.next, Feed::State::More};
  Feed::Taken taken = take_fresh(head, max_bytes);
  // Whoever else follows finds out for himself.
  if (taken.state == Feed::State::OutOfRange || taken.state == Feed::State::Failed) heads_.erase(found);
  return taken;
}

// Somebody is at the head, so whoever makes us keep more than the bound is slow.
Feed::Taken LiveFeeds::take_fresh(Head& head, std::size_t max_bytes) {
  const Offset before = head.feed->next();
  Feed::Taken taken = head.feed->take(max_bytes);
  if (taken.next == before) return taken;
  const std::size_t bytes = taken.batch->buffer.size() + taken.batch->pinned_bytes;
  head.kept.push_back({taken.batch, taken.next, bytes});
  head.bytes += bytes;
  while (head.bytes > kKeptBytes && head.kept.size() > 1) drop_front(head);
  return taken;
}

void LiveFeeds::drop_front(Head& head) {
  head.first = head.kept.front().next;
  head.bytes -= head.kept.front().bytes;
  head.kept.pop_front();
}

void LiveFeeds::forget_what_all_have(Head& head) {
  Offset least = head.feed->next();
  for (const auto& [reader, offset] : head.followers) least = std::min(least, offset);
  while (!head.kept.empty() && head.kept.front().next <= least) drop_front(head);
}

void LiveFeeds::leave(const Key& key, std::uint64_t reader) {
  const auto found = heads_.find(key);
  if (found == heads_.end()) return;
  found->second.followers.erase(reader);
  if (found->second.followers.empty()) heads_.erase(found);
}

}  // namespace dhub::kafka
