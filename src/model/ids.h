// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/strong.h"

namespace dhub {

// Uids are given by the store and never reused: a topic or pipeline that is deleted and made again is another one.
using TopicUid = Strong<struct TopicUidTag, std::int64_t>;
using PipelineUid = Strong<struct PipelineUidTag, std::int64_t>;
using PositionUid = Strong<struct PositionUidTag, std::int64_t>;

using PartitionId = Strong<struct PartitionIdTag, std::int32_t>;
using Offset = Strong<struct OffsetTag, std::int64_t>;

// Counts the starts of a trigger; labels, never fences.
using Generation = Strong<struct GenerationTag, std::int64_t>;
// Counts the changes of what a user wants of a trigger: its starts and its desired states.
using Revision = Strong<struct RevisionTag, std::int64_t>;
// "1", "2", ... of a pipeline.
using Version = Strong<struct VersionTag, std::int32_t>;

// Raised by every load of a position, in the transaction that reads. Fences old owners.
using OwnerEpoch = Strong<struct OwnerEpochTag, std::int64_t>;
// Raised by every seek of a position.
using Pass = Strong<struct PassTag, std::int32_t>;
// Numbers the commits of one owner epoch, from 1.
using CommitSeq = Strong<struct CommitSeqTag, std::int64_t>;

// One hand-over of one event to an instance: owner_epoch * 2^40 + n, so it rises across restarts.
using DeliveryId = Strong<struct DeliveryIdTag, std::uint64_t>;
// A worker process of the event service; unique within one server process.
using InstanceId = Strong<struct InstanceIdTag, std::uint64_t>;

constexpr DeliveryId make_delivery_id(OwnerEpoch epoch, std::uint64_t n) {
  return DeliveryId{(static_cast<std::uint64_t>(epoch.value) << 40) | n};
}

}  // namespace dhub
