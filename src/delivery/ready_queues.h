// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <queue>
#include <vector>

#include "base/ring.h"
#include "base/time.h"
#include "delivery/lanes.h"

namespace dhub::delivery {

// Events whose turn has come as far as their key is concerned: those that can go to an instance, retries before first
// attempts, and those that wait for the time of their next attempt. Whether an event can still go is for the one who
// takes it to see.
class ReadyQueues {
 public:
  void push(const Ref& ref, bool is_retry, bool front) {
    auto& queue = is_retry ? retries_ : first_;
    front ? queue.push_front(ref) : queue.push_back(ref);
  }
  void push_later(const Ref& ref, Instant at) { later_.push({at, ref}); }

  [[nodiscard]] Ring<Ref>& first() { return first_; }
  [[nodiscard]] Ring<Ref>& retries() { return retries_; }
  [[nodiscard]] bool retries_empty() const { return retries_.empty(); }
  // How many can go, and how many wait for their time.
  [[nodiscard]] std::size_t ready() const { return first_.size() + retries_.size(); }
  [[nodiscard]] std::size_t later() const { return later_.size(); }

  [[nodiscard]] std::optional<Instant> next_due() const {
    return later_.empty() ? std::nullopt : std::optional(later_.top().at);
  }
  // One whose time has come.
  std::optional<Ref> take_due(Instant now) {
    if (later_.empty() || later_.top().at > now) return std::nullopt;
    const Ref ref = later_.top().ref;
    later_.pop();
    return ref;
  }

 private:
  struct Later {
    Instant at{};
    Ref ref;
    bool operator>(const Later& other) const { return at > other.at; }
  };

  Ring<Ref> first_;
  Ring<Ref> retries_;
  std::priority_queue<Later, std::vector<Later>, std::greater<>> later_;
};

}  // namespace dhub::delivery
