// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "delivery/settings.h"
#include "model/message.h"

namespace dhub::simulation {

// What a random world is made of: its own source of choices, so that what users do does not depend on how often the
// simulated parts throw dice.
class AnyChoice {
 public:
  explicit AnyChoice(std::uint64_t seed) : random_(seed ^ 0x5eed'0fa1'1c40'1ce5ULL), foreign_(one_in(3)) {
    pass_through_ = one_in(12);
    partitions_ = 1 + below(3);
    keys_ = 1 + below(5);
    max_attempts_ = 1 + below(4);
    unlucky_ = below(3);
  }

  // In [0, bound).
  int below(int bound) { return static_cast<int>(random_.below(static_cast<std::uint64_t>(bound))); }
  bool one_in(int n) { return below(n) == 0; }
  std::string one_of(std::initializer_list<const char*> all) {
    return all.begin()[below(static_cast<int>(all.size()))];
  }
  // Mostly short: so that many things overlap.
  Duration some_time();

  // The topic `orders` is another cluster's.
  [[nodiscard]] bool foreign() const { return foreign_; }
  [[nodiscard]] bool pass_through() const { return pass_through_; }
  [[nodiscard]] int partitions() const { return partitions_; }

  // A third of the worlds have them so small that each is met.
  delivery::EngineLimits limits();
  std::string options(const std::string& topic);
  std::string steps();
  Message message();

 private:
  std::string behaviour();

  Random random_;
  bool foreign_;
  bool pass_through_ = false;  // pipelines have no steps
  int partitions_ = 1;
  int keys_ = 1;
  int max_attempts_ = 1;
  int unlucky_ = 0;  // events that fail: none, some, many
};

}  // namespace dhub::simulation
