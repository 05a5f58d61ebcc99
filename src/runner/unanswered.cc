// SPDX-License-Identifier: Apache-2.0
#include "runner/unanswered.h"

#include <algorithm>
#include <cstddef>

#include "wire/bytes.h"

namespace dhub::runner {

bool Unanswered::add(std::uint64_t frame, std::string_view payload) {
  wire::Reader reader(payload);
  std::uint32_t count = 0;
  if (!reader.take(count)) return false;
  const std::size_t before = entries_.size();
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view delivery;
    DeliveryId id{};
    const bool taken = reader.take_string(delivery) && wire::Reader(delivery).take(id.value) && id.value != 0;
    if (!taken || (!entries_.empty() && entries_.back().id >= id)) {
      entries_.resize(before);
      return false;
    }
    entries_.push_back({id, frame, State::Open});
  }
  open_ += count;
  return true;
}

std::deque<Unanswered::Entry>::const_iterator Unanswered::find(DeliveryId id) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), id,
                                      [](const Entry& entry, DeliveryId wanted) { return entry.id < wanted; });
  return found == entries_.end() || found->id != id ? entries_.end() : found;
}

Unanswered::Answer Unanswered::answer(DeliveryId id) {
  const auto found = find(id);
  if (found == entries_.end() || found->state == State::Answered) return Answer::Unknown;
  Entry& entry = entries_[static_cast<std::size_t>(found - entries_.begin())];
  const Answer answer = entry.state == State::Open ? Answer::Passed : Answer::Swallowed;
  if (entry.state == State::Open) --open_;
  entry.state = State::Answered;
  while (!entries_.empty() && entries_.front().state == State::Answered) entries_.pop_front();
  return answer;
}

bool Unanswered::claim(DeliveryId id) {
  const auto found = find(id);
  if (found == entries_.end() || found->state != State::Open) return false;
  entries_[static_cast<std::size_t>(found - entries_.cbegin())].state = State::Claimed;
  --open_;
  return true;
}

bool Unanswered::is_open(DeliveryId id) const {
  const auto found = find(id);
  return found != entries_.end() && found->state == State::Open;
}

}  // namespace dhub::runner
