// SPDX-License-Identifier: Apache-2.0
#include "delivery/window.h"

#include <algorithm>

#include "base/check.h"

namespace dhub::delivery {

Window::Window(const LoadedPartition& loaded, std::vector<StoredFailure> failures, const Now& now)
    : dispatched_through(loaded.dispatched_through.value),
      reserve_asked(loaded.dispatched_through.value),
      frontier(loaded.cursor.value),
      known_end(loaded.cursor),
      id_(loaded.partition),
      base_(loaded.cursor.value),
      loaded_finished_(loaded.finished),
      commit_scan_(loaded.cursor.value) {
  for (auto& row : failures) {
    const Duration wait = std::max<Duration>(milliseconds(row.retry_at.ms - now.wall.ms), Duration::zero());
    failures_[row.offset.value] = {row.charged,
                                   now.mono + wait,
                                   row.retry_at,
                                   row.step,
                                   row.kind,
                                   row.version,
                                   std::move(row.results),
                                   std::move(row.first_error),
                                   std::move(row.last_error)};
    kept_messages_[row.offset.value] = std::move(row.message);
  }
}

Failure* Window::failure(Offset offset) {
  const auto found = failures_.find(offset.value);
  return found == failures_.end() ? nullptr : &found->second;
}

const Failure* Window::failure(Offset offset) const {
  const auto found = failures_.find(offset.value);
  return found == failures_.end() ? nullptr : &found->second;
}

FinalState Window::loaded_state(std::int64_t offset) {
  const auto end = [](const FinishedRange& range) { return range.first.value + range.count; };
  while (loaded_at_ < loaded_finished_.size() && end(loaded_finished_[loaded_at_]) <= offset) ++loaded_at_;
  if (loaded_at_ == loaded_finished_.size() || loaded_finished_[loaded_at_].first.value > offset)
    return FinalState::None;
  return loaded_finished_[loaded_at_].state;
}

Entry& Window::append(Entry entry) {
  const std::int64_t offset = next_read().value;
  if (const FinalState state = loaded_state(offset); state != FinalState::None) {
    entry = Entry{};
    entry.final_state = state;
  }
  kept_messages_.erase(offset);
  known_end = std::max(known_end, Offset{offset + 1});
  return entries_.push_back(std::move(entry));
}

const Message* Window::kept_message(Offset offset) const {
  const auto found = kept_messages_.find(offset.value);
  return found == kept_messages_.end() ? nullptr : &found->second;
}

bool Window::join_lane(Offset offset) {
  auto& lane = lanes_[at(offset).lane];
  const bool first = lane.head.value < 0;
  if (first) {
    lane.head = offset;
  } else {
    at(lane.tail).next_in_lane = offset;
  }
  lane.tail = offset;
  return first;
}

bool Window::is_lane_head(Offset offset) const {
  const auto found = lanes_.find(at(offset).lane);
  return found != lanes_.end() && found->second.head == offset;
}

std::optional<Offset> Window::lane_head(LaneId id) const {
  const auto found = lanes_.find(id);
  return found == lanes_.end() ? std::nullopt : std::optional(found->second.head);
}

std::optional<Offset> Window::advance_lane(LaneId id) {
  const auto found = lanes_.find(id);
  if (found == lanes_.end()) return std::nullopt;
  Lane& lane = found->second;
  const Offset before = lane.head;
  // An entry below the base was dropped as Final; its lane had been advanced past it before that.
  while (lane.head.value >= 0) {
    const Entry& head = at(lane.head);
    if (head.state != EntryState::Done && head.state != EntryState::Final) break;
    lane.head = head.next_in_lane;
  }
  if (lane.head.value < 0) {
    lanes_.erase(found);
    return std::nullopt;
  }
  return lane.head == before ? std::nullopt : std::optional(lane.head);
}

void Window::finish(Offset offset) {
  Entry& entry = at(offset);
  CHECK(entry.state != EntryState::Final);
  entry.state = EntryState::Final;
  entry.in_commit = false;
  entry.batch.reset();
  entry.record = nullptr;
  failures_.erase(offset.value);
}

void Window::drop_final() {
  while (!entries_.empty() && entries_.front().state == EntryState::Final) {
    entries_.pop_front();
    ++base_;
  }
  commit_scan_ = std::max(commit_scan_, base_);
}

Offset Window::cursor_with_commit() {
  while (commit_scan_ < next_read().value) {
    const Entry& entry = at(Offset{commit_scan_});
    if (entry.state != EntryState::Final && !entry.in_commit) break;
    ++commit_scan_;
  }
  return Offset{commit_scan_};
}

}  // namespace dhub::delivery
