// SPDX-License-Identifier: Apache-2.0
#include "delivery/window.h"

#include <algorithm>

#include "base/check.h"

namespace dhub::delivery {
namespace {

constexpr milliseconds kLongestWait = std::chrono::hours(24 * 30);

}  // namespace

Window::Window(const LoadedPartition& loaded, std::vector<StoredFailure> failures, const Now& now)
    : dispatched_through(loaded.dispatched_through.value),
      reserve_asked(loaded.dispatched_through.value),
      frontier(loaded.cursor.value),
      id_(loaded.partition),
      base_(loaded.cursor.value),
      loaded_finished_(loaded.finished),
      commit_scan_(loaded.cursor.value) {
  for (auto& row : failures) {
    // The wall clock may have jumped since, so the wait is bounded.
    const std::int64_t wait_ms = std::clamp<std::int64_t>(row.retry_at.ms - now.wall.ms, 0, kLongestWait.count());
    Failure& failure = failures_[row.offset.value];
    failure.charged = row.charged;
    failure.retry_at = now.mono + milliseconds(wait_ms);
    failure.retry_at_wall = row.retry_at;
    failure.step = row.step;
    failure.kind = row.kind;
    failure.version = row.version;
    failure.results = std::move(row.results);
    failure.first_error = std::move(row.first_error);
    failure.last_error = std::move(row.last_error);
    kept_messages_[row.offset.value] = std::move(row.message);
    // Rows of what is finished would count for ever.
    if (row.offset < loaded.cursor) forget(row.offset.value);
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
    forget(offset);
  }
  if (!kept_messages_.empty()) kept_messages_.erase(offset);
  if (!failures_.empty() && failures_.contains(offset)) ++failing;
  return entries_.push_back(entry);
}

void Window::forget(std::int64_t offset) {
  failures_.erase(offset);
  kept_messages_.erase(offset);
}

Failure& Window::make_failure(Offset offset) {
  const auto [row, is_new] = failures_.try_emplace(offset.value);
  if (is_new) ++failing;
  return row->second;
}

std::int64_t Window::recount(Offset offset) {
  Failure* row = failure(offset);
  if (row == nullptr) return 0;
  const std::int64_t before = row->counted_bytes;
  row->counted_bytes = static_cast<std::int64_t>(sizeof(Failure) + row->results.size() + row->first_error.size() +
                                                 row->last_error.size());
  return row->counted_bytes - before;
}

const Message* Window::kept_message(Offset offset) const {
  const auto found = kept_messages_.find(offset.value);
  return found == kept_messages_.end() ? nullptr : &found->second;
}

std::int64_t Window::finish(Offset offset) {
  Entry& entry = at(offset);
  CHECK(entry.state != EntryState::Final && entry.record == nullptr);
  entry.state = EntryState::Final;
  entry.in_commit = false;
  if (failures_.empty()) return 0;
  const auto row = failures_.find(offset.value);
  if (row == failures_.end()) return 0;
  const std::int64_t bytes = row->second.counted_bytes;
  failures_.erase(row);
  --failing;
  return bytes;
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
