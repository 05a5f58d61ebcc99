// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/message.h"

namespace dhub::delivery {

// Which record batches the engine keeps alive, and how much memory that is. One event that is held keeps its whole
// batch, so the batch is what counts against the budget, once, however many of its events are held.
class BatchHolds {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNone = ~Id{0};

  // One more event of `batch` is held. Give the id back with release().
  Id hold(const RecordBatchRef& batch);
  // The same of a batch that nobody else will hold.
  Id hold_alone(const RecordBatchRef& batch);
  void release(Id id);
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Slot {
    RecordBatchRef batch;
    std::uint32_t events = 0;
  };

  std::vector<Slot> slots_;
  std::vector<Id> free_;
  Id latest_ = kNone;  // records of one batch come in a row
  std::uint64_t bytes_ = 0;
};

// A batch of this record alone, with a buffer of its own.
[[nodiscard]] RecordBatchRef batch_of_one(const RecordView& record);
[[nodiscard]] RecordBatchRef batch_of_one(const Message& message, Offset offset);

}  // namespace dhub::delivery
