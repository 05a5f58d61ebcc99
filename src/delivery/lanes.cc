// SPDX-License-Identifier: Apache-2.0
#include "delivery/lanes.h"

#include <functional>

namespace dhub::delivery {

std::uint64_t Lanes::key_of(PartitionId partition, std::string_view key) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;  // spreads small numbers over all bits (Fibonacci hashing)
  return std::hash<std::string_view>{}(key) ^ ((static_cast<std::uint64_t>(partition.value) + 1) * kOdd);
}

Lanes::Index Lanes::of(std::uint64_t key) {
  const auto [entry, is_new] = by_key_.try_emplace(key, kNone);
  if (!is_new) return entry->second;
  if (free_.empty()) {
    free_.push_back(static_cast<Index>(lanes_.size()));
    lanes_.emplace_back();
  }
  entry->second = free_.back();
  free_.pop_back();
  lanes_[entry->second] = Lane{};
  lanes_[entry->second].key = key;
  return entry->second;
}

void Lanes::release(Index lane) {
  by_key_.erase(lanes_[lane].key);
  free_.push_back(lane);
}

}  // namespace dhub::delivery
