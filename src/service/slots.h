// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"
#include "ports/scheduler.h"
#include "service/leash.h"

namespace dhub::service {

// What the instances of one machine may be and take, all together.
struct Machine {
  std::int32_t instances = 16;
  std::uint64_t memory = std::numeric_limits<std::uint64_t>::max();  // sum of their limits.memory
};

// What one trigger has a right to before others get more than one.
struct Claim {
  std::int32_t least = 0;    // min_instances
  std::uint64_t memory = 0;  // limits.memory of each instance
};

// The instances that the machine carries, granted to the triggers that want them: the one place where it is known how
// many there are over all triggers. Fair: whoever has none comes first, then whoever lacks some of its min_instances,
// then whoever has fewest. Who has two more than somebody that waits gives one back, and when there are more triggers
// than slots, the slots go round in turns, so that nobody waits for ever. A turn is long enough that starting takes a
// tenth of it at most.
//
// Pure bookkeeping, on the loop's thread; who holds instances is called back by tasks of their own. It outlives its
// shares.
class Slots {
 public:
  class Share;
  // On the loop, never from within a call of a share.
  struct Calls {
    std::function<void()> look;                 // ask() again: there is something for it, or others wait
    std::function<void(InstanceId)> give_back;  // this one is to end: others have waited long enough
  };

  Slots(Scheduler& scheduler, Metrics& metrics, Machine machine);
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  [[nodiscard]] const Machine& machine() const { return machine_; }
  [[nodiscard]] std::int32_t in_use() const;
  // How long who holds a slot keeps it while others have none.
  [[nodiscard]] Duration turn() const;
  // Conflict when `claim` cannot be met beside what the others have a right to, or not at all.
  [[nodiscard]] Status check(const Claim& claim, const std::vector<Claim>& others) const;

 private:
  struct Account {
    std::int64_t slots = 0;
    std::uint64_t memory = 0;
  };
  enum class Giving { Asked, Later, Nobody };
  struct Candidate {
    Share* share = nullptr;
    std::size_t hold = 0;
    Instant due{};
  };

  [[nodiscard]] bool can_ever(const Share& share) const;
  [[nodiscard]] Account used() const;
  [[nodiscard]] Account ending() const;
  [[nodiscard]] bool fits(const Share& share, const Account& used) const;
  void balance();
  [[nodiscard]] Share* most_entitled() const;
  [[nodiscard]] std::optional<Candidate> who_gives_to(const Share& share) const;
  Giving ask_for(const Share& share);
  void count();

  Scheduler& scheduler_;
  const Machine machine_;
  Gauge& in_use_;
  std::vector<Share*> shares_;
  std::int32_t waiting_ = 0;  // shares that wait
  std::uint64_t tickets_ = 0;
  Scheduler::TimerId timer_ = Scheduler::TimerId::None;
  Leash leash_;
};

// One trigger's part in it.
class Slots::Share {
 public:
  Share(Slots& slots, Calls calls);
  ~Share();
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  // From the next instance on.
  void use(const Claim& claim);
  // It would start `more` now. Answers how many of them it may: each must begin() before anything else is called. For
  // the rest it waits, until it asks for another number. `surplus`: it has idle ones that nothing needs.
  [[nodiscard]] std::int32_t ask(std::int32_t more, bool surplus);
  void begin(InstanceId instance);
  // `took`: from begin() on.
  void ready(InstanceId instance, Duration took);
  void leave(InstanceId instance);  // it has been told to end
  void end(InstanceId instance);

  [[nodiscard]] std::int32_t waits_for() const { return waits(); }
  [[nodiscard]] bool others_wait() const { return slots_.waiting_ > (is_waiting_ ? 1 : 0); }
  // What it waits for, in a sentence; empty when it does not.
  [[nodiscard]] std::string why_it_waits() const;

 private:
  friend class Slots;
  struct Hold {
    InstanceId instance{};
    std::uint64_t memory = 0;
    std::optional<Instant> since;  // it is ready
    Duration least_turn{};
    bool asked = false;    // to give it back
    bool leaving = false;  // it does, or for reasons of its own
  };

  Hold* find(InstanceId instance);
  [[nodiscard]] std::int32_t waits() const { return asked_ - promised_; }
  [[nodiscard]] std::int64_t held() const { return static_cast<std::int64_t>(holds_.size()) + promised_ + coming_; }
  [[nodiscard]] std::int64_t active() const;
  void tell_to_look();

  Slots& slots_;
  const Calls calls_;
  Claim claim_;
  std::vector<Hold> holds_;
  std::int32_t asked_ = 0;
  std::int32_t promised_ = 0;  // of what it has asked for, and not begun yet
  std::int32_t coming_ = 0;    // scratch of balance(): what it will get of those that end
  bool passed_over_ = false;   // the same: it has its share, and what is left does not suffice for it
  std::uint64_t ticket_ = 0;   // when it began to wait, or had its turn
  bool surplus_ = false;
  bool is_waiting_ = false;
  bool is_told_ = false;
  Leash leash_;
};

}  // namespace dhub::service
