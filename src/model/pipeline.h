// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"

namespace dhub {

enum class Ordering { Key, Partition, None };
enum class Backoff { Exponential, Linear, Constant };

struct RetryPolicy {
  std::int32_t max_attempts = 10;  // 1..1000
  Backoff backoff = Backoff::Exponential;
  Duration initial_delay = std::chrono::seconds(1);
  Duration max_delay = std::chrono::minutes(2);
  bool jitter = true;
  bool from_start = false;  // true: every attempt begins at the first step
};

struct Scaling {
  std::int32_t min_instances = 0;
  std::int32_t max_instances = 0;  // 0 = number of cores of the machine; resolved at start
  std::int32_t concurrency = 1;    // events at a time in one instance; above 1 only for async handlers
  Duration target_delay = std::chrono::seconds(1);
  Duration idle_timeout = std::chrono::seconds(30);
};

struct InstanceLimits {
  std::uint64_t memory_bytes = 512ULL << 20;
  std::uint64_t output_bytes = 64ULL << 10;  // log kept of one event
};

struct Options {
  std::optional<std::string> event;  // topic to listen on; none: not an event pipeline
  Ordering ordering = Ordering::Key;
  RetryPolicy retry;
  Duration timeout = std::chrono::seconds(60);  // of one attempt, the whole pipeline
  InstanceLimits limits;
  std::optional<std::string> dead_letter_topic;
  Scaling scaling;
  std::map<std::string, std::string> env;
  std::string interpreter;  // empty = the server's default python3
};

struct Step {
  std::string name;
  std::string script;                       // Python source
  std::optional<std::string> result_topic;  // outputs.result.topic
};

// What a user wrote, checked. `steps` may be empty: each message is taken, accounted for, and nothing else happens.
struct Definition {
  std::string id;
  std::string name;
  Options options;
  std::vector<Step> steps;
};

// One immutable version of a pipeline as it is stored. `*_json` are the user's own words, canonically printed, so that
// GET, edit, PUT works; `parse_definition` (pipeline/) makes a Definition of them.
struct PipelineVersion {
  PipelineUid uid{};
  std::string id;
  Version version{};
  std::string name;
  std::string steps_json;     // an array
  std::string options_json;   // an object
  std::string metadata_json;  // an object
  WallTime created_at{};
};

// A DNS label of at most 63 characters, none of the reserved words (validate, test).
[[nodiscard]] Status validate_pipeline_id(std::string_view id);

}  // namespace dhub
