// SPDX-License-Identifier: Apache-2.0
#include "model/topic.h"

#include <cstring>
#include <fmt/format.h>

#include "base/check.h"

namespace dhub {
namespace {

constexpr std::size_t kLongestTopicName = 249;
constexpr std::size_t kLongestClusterName = 63;
constexpr std::int32_t kMostPartitions = 1000;

bool is_topic_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// Austin Appleby's MurmurHash2 as Kafka's Java client computes it.
std::uint32_t murmur2(std::string_view data) {
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  auto hash = 0x9747b28cU ^ static_cast<std::uint32_t>(data.size());
  std::size_t i = 0;
  for (; i + 4 <= data.size(); i += 4) {
    std::uint32_t k = 0;
    std::memcpy(&k, data.data() + i, 4);
    k *= kMultiplier;
    k ^= k >> 24;
    k *= kMultiplier;
    hash = (hash * kMultiplier) ^ k;
  }
  if (i < data.size()) {
    for (std::size_t rest = data.size() - i; rest > 0; --rest)
      hash ^= static_cast<std::uint32_t>(static_cast<unsigned char>(data[i + rest - 1])) << (8 * (rest - 1));
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  return hash ^ (hash >> 15);
}

}  // namespace

Status validate_topic_name(std::string_view name) {
  bool good = !name.empty() && name.size() <= kLongestTopicName && name != "." && name != "..";
  for (const char c : name) good = good && is_topic_character(c);
  if (good) return {};
  return fail(
      ErrorCode::InvalidArgument,
      fmt::format("A topic name has 1 to {} characters of letters, digits, '.', '_' and '-'.", kLongestTopicName));
}

Result<TopicName> parse_topic_name(std::string_view name) {
  TopicName parsed;
  const auto slash = name.find('/');
  if (slash != std::string_view::npos) {
    parsed.cluster = name.substr(0, slash);
    name.remove_prefix(slash + 1);
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    bool good = !parsed.cluster.empty() && parsed.cluster.size() <= kLongestClusterName &&
                plain(parsed.cluster.front()) && plain(parsed.cluster.back());
    for (const char c : parsed.cluster) good = good && (plain(c) || c == '-');
    if (!good)
      return fail(
          ErrorCode::InvalidArgument,
          "Before the '/' of a topic stands the name of a cluster: 1 to 63 characters of a-z, 0-9 and '-', with "
          "a letter or digit at both ends.");
  }
  RETURN_IF_ERROR(validate_topic_name(name));
  parsed.topic = name;
  return parsed;
}

Status validate(const TopicSettings& settings) {
  if (settings.partitions < 1 || settings.partitions > kMostPartitions)
    return fail({ErrorCode::InvalidArgument,
                 "The topic's settings are not valid.",
                 {{"/partitions", fmt::format("must be between 1 and {}", kMostPartitions)}}});
  if (settings.retention_age < std::chrono::seconds(1))
    return fail({ErrorCode::InvalidArgument,
                 "The topic's settings are not valid.",
                 {{"/retention/age", "must be at least 1s"}}});
  return {};
}

const PartitionRange* find_range(const Topic& topic, PartitionId partition) {
  for (const auto& range : topic.partitions)
    if (range.partition == partition) return &range;
  return nullptr;
}

PartitionId partition_of(std::string_view key, std::int32_t partitions) {
  CHECK(partitions > 0);
  return PartitionId{static_cast<std::int32_t>((murmur2(key) & 0x7fffffffU) % static_cast<std::uint32_t>(partitions))};
}

}  // namespace dhub
