// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "model/ids.h"

namespace dhub::runner {

// What a worker was given and what became of it. Each delivery is answered to the server once: by its worker, or by the
// host, which claims what has not begun (RecallClaim in docs/specs/delivery.md); what the worker says of it later is
// not passed on. Ids rise, so they are found by halving.
class Unanswered {
 public:
  // The deliveries of the payload of frame number `frame`. False when it is not a payload of deliveries whose ids rise;
  // then nothing was added.
  [[nodiscard]] bool add(std::uint64_t frame, std::string_view payload);

  enum class Answer { Passed, Swallowed, Unknown };
  // The worker answers: to be passed on when nobody has answered it yet, swallowed when it was claimed.
  [[nodiscard]] Answer answer(DeliveryId id);

  // Answers for the worker: what is open of the first `frames` frames and for which `unbegun` is true.
  template <typename Unbegun>
  [[nodiscard]] std::vector<DeliveryId> claim(std::uint64_t frames, Unbegun&& unbegun) {
    std::vector<DeliveryId> claimed;
    for (Entry& entry : entries_) {
      if (entry.frame > frames) break;
      if (entry.state != State::Open || !unbegun(entry.id)) continue;
      entry.state = State::Claimed;
      claimed.push_back(entry.id);
    }
    open_ -= claimed.size();
    return claimed;
  }

  // The same of one delivery; false when it is not open.
  [[nodiscard]] bool claim(DeliveryId id);

  // So many deliveries wait for an answer to the server.
  [[nodiscard]] std::uint64_t open() const { return open_; }
  [[nodiscard]] bool is_open(DeliveryId id) const;

 private:
  enum class State : std::uint8_t { Open, Claimed, Answered };
  struct Entry {
    DeliveryId id{};
    std::uint64_t frame = 0;
    State state = State::Open;
  };
  [[nodiscard]] std::deque<Entry>::const_iterator find(DeliveryId id) const;

  std::deque<Entry> entries_;  // the first of them has no answer from its worker
  std::uint64_t open_ = 0;
};

}  // namespace dhub::runner
