// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "model/ids.h"
#include "model/message.h"

namespace dhub {

// What became of an offset, for good. The numbers are stored (4 bits each in a ledger page): never renumber.
enum class FinalState : std::uint8_t {
  None = 0,
  Succeeded = 1,
  Filtered = 2,
  DeadLettered = 3,
  Expired = 4,
  Skipped = 5,
  Absent = 6,  // no record at this offset: compaction, transaction marker
};
[[nodiscard]] const char* to_string(FinalState state);

// How one delivery of one event ended.
enum class OutcomeKind : std::uint8_t {
  Succeeded = 1,
  Filtered = 2,     // raise Skip
  Failed = 3,       // an exception: charged, retried
  Rejected = 4,     // raise Reject: dead letter at once
  NotStarted = 5,   // was in a frame, never begun: not charged
  Crashed = 6,      // the worker died while running it: charged
  TimedOut = 7,     // past the deadline, killed: charged
  OutOfMemory = 8,  // past the memory limit, killed: charged
};
[[nodiscard]] const char* to_string(OutcomeKind kind);

// A message that a step published; goes out only when its run succeeds.
struct Publication {
  std::string topic;
  Message message;
};

// Everything that is known of one delivery after it ended.
struct Outcome {
  DeliveryId delivery{};
  OutcomeKind kind = OutcomeKind::Succeeded;
  std::uint32_t duration_us = 0;
  std::uint16_t step = 0;                 // index of the step that failed, filtered or was running
  std::optional<Duration> retry_after;    // raise Retry(after=...)
  std::string error;                      // one line: "ValueError: no such order"
  std::string trace;                      // traceback with the user's file and line
  std::string log;                        // print and logging, cut at the limit with a mark
  std::string results;                    // opaque: stored results of the finished steps, when not succeeded
  std::vector<Publication> publications;  // in the order they were published
};

// `pass.partition.offset` of a position names a run: "1-0-4711".
struct RunId {
  Pass pass{};
  PartitionId partition{};
  Offset offset{};
  auto operator<=>(const RunId&) const = default;
};
[[nodiscard]] std::string to_string(const RunId& id);
[[nodiscard]] std::optional<RunId> parse_run_id(std::string_view text);

// One attempt as run details keep it (they may be lost or cut; the ledger may not).
struct AttemptDetail {
  PositionUid position{};
  RunId run{};
  std::int32_t attempt = 0;  // 1 = first
  DeliveryId delivery{};
  OutcomeKind kind = OutcomeKind::Succeeded;
  Version version{};
  InstanceId instance{};
  WallTime started_at{};
  std::uint32_t duration_us = 0;
  std::string step;  // name of the step that failed or filtered; empty on success
  std::string error;
  std::string trace;
  std::string log;
  std::string key;  // first 256 bytes; empty when there is none
};

// An event that is given up, kept whole.
struct DeadLetter {
  std::int64_t number = 0;  // given by the store, rising within a pipeline
  PositionUid position{};
  RunId run{};
  std::string topic;
  Message message;
  std::int32_t attempts = 0;
  OutcomeKind reason = OutcomeKind::Failed;
  Version version{};
  std::string step;
  std::string first_error;
  std::string last_error;
  std::string trace;
  WallTime created_at{};
};

}  // namespace dhub
