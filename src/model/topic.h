// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"

namespace dhub {

// 1 to 249 characters of [A-Za-z0-9._-], not "." or ".." (Kafka's rule). InvalidArgument otherwise.
[[nodiscard]] Status validate_topic_name(std::string_view name);

struct TopicSettings {
  std::int32_t partitions = 1;  // 1..1000, fixed at creation
  Duration retention_age = std::chrono::hours(24 * 7);
  std::uint64_t retention_bytes = 0;  // per partition; 0 = no limit
};
[[nodiscard]] Status validate(const TopicSettings& settings);

struct PartitionRange {
  PartitionId partition{};
  Offset start{};  // first offset still kept
  Offset end{};    // the next offset to be given
  std::uint64_t bytes = 0;
};

struct StartOffset {
  PartitionId partition{};
  Offset offset{};
};

// The cluster that a topic of the embedded log belongs to.
inline constexpr const char* kEmbeddedCluster = "embedded";

// "topic" or "cluster/topic" as users write it; a topic without a cluster is one of the default cluster's.
// InvalidArgument when the topic's name is none, or the cluster's is no DNS label.
struct TopicName {
  std::string cluster;  // empty: the default one
  std::string topic;
};
[[nodiscard]] Result<TopicName> parse_topic_name(std::string_view name);

struct Topic {
  TopicUid uid{};
  std::string name;  // as users write it: with its cluster when that is not the default one
  TopicSettings settings;
  WallTime created_at{};
  std::vector<PartitionRange> partitions;
  std::string cluster = {};  // empty: a topic of the embedded log
};

// None when it has no such partition.
[[nodiscard]] const PartitionRange* find_range(const Topic& topic, PartitionId partition);

// Where a published message stands.
struct Placement {
  PartitionId partition{};
  Offset offset{};
};

// Kafka's default partitioner: murmur2 of the key (seed 0x9747b28c), made positive, modulo partitions. Same vectors as
// Kafka's Java client (org.apache.kafka.common.utils.Utils.murmur2).
[[nodiscard]] PartitionId partition_of(std::string_view key, std::int32_t partitions);

}  // namespace dhub
