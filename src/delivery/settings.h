// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "delivery/byte_budget.h"
#include "model/ids.h"
#include "model/pipeline.h"

namespace dhub::delivery {

// What the engine must know of the pipeline version that is current.
struct VersionSettings {
  Version version{};
  RetryPolicy retry;
  std::optional<std::string> dead_letter_topic;
  std::vector<std::string> step_names;  // empty: the engine finishes every event itself
  std::int32_t max_instances = 1;
  std::int32_t concurrency = 1;
};

// Limits of one engine. All memory that an engine holds is bounded by these.
struct EngineLimits {
  std::int64_t window_offsets = 1 << 20;     // unfinished and finished offsets past the cursor, a partition
  std::uint64_t window_bytes = 64ULL << 20;  // payloads held, with what pins them, all partitions ...
  ByteBudget* shared_bytes = nullptr;        // ... and as far as this goes, which outlives the engine; none: no further
  std::size_t frame_events = 256;            // events of one frame
  std::size_t frame_bytes = 256ULL << 10;    // payload of one frame; always at least one event
  Duration frame_work = milliseconds(20);    // measured work of one frame
  Duration long_event =
      milliseconds(100);                // what runs longer gets nothing behind it while another instance could take it
  std::int64_t read_ahead = 16 << 10;   // events at hand while there may be more instances: the autoscaler looks
  std::int64_t reserve_step = 4096;     // dispatched_through is reserved this far ahead
  std::int64_t failing_rows = 100'000;  // events that wait for a retry; at the bound no first attempt starts
  std::uint16_t hops = 64;              // a chain of triggers is cut here
  std::uint64_t message_bytes = 1ULL << 20;  // of one publication
  std::int64_t details_per_second = 50;      // run details of successes; failures are always told
};

struct EngineSettings {
  std::string topic;
  Ordering ordering = Ordering::Key;  // fixed for the engine's life: a change needs a drain
  VersionSettings current;
  EngineLimits limits;
  std::uint64_t seed = 0;  // of the jitter
};

}  // namespace dhub::delivery
