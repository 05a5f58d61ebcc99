// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace dhub::delivery {

// The bytes that the engines of one loop may hold together. Nobody waits for others altogether: up to `floor` each may
// hold whatever the others do, so that all of them go on. Loop thread only.
struct ByteBudget {
  std::uint64_t most = 64ULL << 20;
  std::uint64_t floor = 1ULL << 20;
  std::uint64_t used = 0;
};

// What one engine has taken of it.
class ByteShare {
 public:
  // Without a budget the engine is alone.
  explicit ByteShare(ByteBudget* budget) : budget_(budget) {}
  ~ByteShare() { set(0); }
  ByteShare(const ByteShare&) = delete;
  ByteShare& operator=(const ByteShare&) = delete;

  void set(std::uint64_t bytes) {
    if (budget_ != nullptr) budget_->used += bytes - taken_;
    taken_ = bytes;
  }
  // How much the engine may hold of the `most` that its own limit allows.
  [[nodiscard]] std::uint64_t room(std::uint64_t most) const {
    if (budget_ == nullptr) return most;
    const std::uint64_t others = budget_->used - taken_;
    const std::uint64_t left = budget_->most - std::min(budget_->most, others);
    return std::min(most, std::max(left, budget_->floor));
  }

 private:
  ByteBudget* const budget_;
  std::uint64_t taken_ = 0;
};

}  // namespace dhub::delivery
