// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/ids.h"

namespace dhub::delivery {

// An event by its place: the window of its partition, and its offset.
struct Ref {
  std::uint32_t window = 0;
  Offset offset{-1};

  [[nodiscard]] bool none() const { return offset.value < 0; }
  bool operator==(const Ref&) const = default;
};

// The unfinished events of one key, in the order in which they may begin. Only the first may be dispatched; the ones
// right behind it may ride along in its frame.
struct Lane {
  std::uint64_t key = 0;
  Ref head;
  Ref tail;
  Ref lacking;               // the first that waits without its bytes: none behind it has them
  std::int64_t stock = 0;    // have not begun, and their bytes are at hand
  std::uint64_t parked = 0;  // bytes of the stock, while `is_parked`
  bool is_parked = false;    // the head waits for a retry, or runs long
  bool is_hungry = false;    // bytes of what is lacking are wanted
};

// The keys that have unfinished events. A key is seen as a hash of it and of the partition that it came in: two that
// share one are kept in one order, which is more than was asked and does no harm.
class Lanes {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = ~Index{0};

  [[nodiscard]] static std::uint64_t key_of(PartitionId partition, std::string_view key);

  // The lane of this key, a new one if need be.
  Index of(std::uint64_t key);
  [[nodiscard]] Index find(std::uint64_t key) const {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? kNone : found->second;
  }
  void release(Index lane);
  Lane& operator[](Index lane) { return lanes_[lane]; }
  const Lane& operator[](Index lane) const { return lanes_[lane]; }
  [[nodiscard]] std::size_t size() const { return by_key_.size(); }

  template <typename Visit>
  void for_each(Visit&& visit) {
    for (const auto& [key, lane] : by_key_) visit(lanes_[lane]);
  }

 private:
  boost::unordered_flat_map<std::uint64_t, Index> by_key_;
  std::vector<Lane> lanes_;
  std::vector<Index> free_;
};

}  // namespace dhub::delivery
