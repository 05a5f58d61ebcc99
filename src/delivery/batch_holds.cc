// SPDX-License-Identifier: Apache-2.0
#include "delivery/batch_holds.h"

#include "base/check.h"

namespace dhub::delivery {
namespace {

std::uint64_t size_of(const RecordBatch& batch) {
  return batch.buffer.size() + batch.pinned_bytes + batch.records.size() * sizeof(RecordView);
}

}  // namespace

BatchHolds::Id BatchHolds::hold(const RecordBatchRef& batch) {
  if (latest_ != kNone && slots_[latest_].batch == batch) {
    ++slots_[latest_].events;
    return latest_;
  }
  latest_ = hold_alone(batch);
  return latest_;
}

BatchHolds::Id BatchHolds::hold_alone(const RecordBatchRef& batch) {
  if (free_.empty()) {
    free_.push_back(static_cast<Id>(slots_.size()));
    slots_.emplace_back();
  }
  const Id id = free_.back();
  free_.pop_back();
  slots_[id] = {batch, 1};
  bytes_ += size_of(*batch);
  return id;
}

void BatchHolds::release(Id id) {
  Slot& slot = slots_[id];
  CHECK(slot.events > 0);
  if (--slot.events > 0) return;
  bytes_ -= size_of(*slot.batch);
  slot.batch.reset();
  free_.push_back(id);
  if (latest_ == id) latest_ = kNone;
}

RecordBatchRef batch_of_one(const RecordView& record) {
  auto batch = std::make_shared<RecordBatch>();
  append_record(batch->buffer, record);
  std::string_view bytes = batch->buffer;
  auto copy = take_record(bytes);
  CHECK(copy.has_value());
  copy->offset = record.offset;
  batch->records.push_back(*copy);
  return batch;
}

RecordBatchRef batch_of_one(const Message& message, Offset offset) {
  const std::string headers = encode_headers(message.headers);
  RecordView record = view_of(message, headers);
  record.offset = offset;
  return batch_of_one(record);
}

}  // namespace dhub::delivery
