// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"
#include "delivery/lanes.h"
#include "model/ids.h"

namespace dhub::delivery {

// An instance as the engine sees it.
struct Slot {
  InstanceId id{};
  Version version{};
  std::size_t outstanding = 0;
  Instant progress{};       // when it last brought an outcome, or got its first event
  bool is_dead = false;     // an outcome has told of its death; its end follows
  bool is_long = false;     // what it runs takes long: it gets nothing more, and what is behind it is taken back
  bool is_held_up = false;  // the same, and so long that it says nothing of how long others will take
  bool recalled = false;    // asked for what it has not begun, since it is long
  bool is_leaving = false;  // is to end: it gets nothing more
};

// One delivery that is at an instance.
struct Flight {
  Ref ref;
  InstanceId instance{};
  Version version{};
  Instant since{};
};

// The instances, and what is at each.
class Flights {
 public:
  [[nodiscard]] std::vector<Slot>& slots() { return slots_; }
  [[nodiscard]] const std::vector<Slot>& slots() const { return slots_; }
  [[nodiscard]] Slot* slot(InstanceId instance) {
    const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.id == instance; });
    return found == slots_.end() ? nullptr : &*found;
  }
  [[nodiscard]] const Slot* slot(InstanceId instance) const { return const_cast<Flights*>(this)->slot(instance); }

  void depart(DeliveryId id, const Ref& ref, Slot& slot, const Now& now) {
    in_flight_[id.value] = {ref, slot.id, slot.version, now.mono};
    if (slot.outstanding++ == 0) slot.progress = now.mono;
  }
  // None when the number is an old story: the delivery was given to somebody else since.
  std::optional<Flight> land(DeliveryId id, InstanceId instance) {
    const auto found = in_flight_.find(id.value);
    if (found == in_flight_.end() || found->second.instance != instance) return std::nullopt;
    const Flight flight = found->second;
    in_flight_.erase(found);
    return flight;
  }
  template <typename Visit>
  void for_each_at(InstanceId instance, Visit&& visit) const {
    for (const auto& [id, flight] : in_flight_)
      if (flight.instance == instance) visit(flight);
  }
  // Its running event is over, or nothing is there any more.
  static void release(Slot& slot) { slot.is_long = slot.is_held_up = slot.recalled = false; }
  // Takes away all that is at an instance.
  std::vector<Flight> land_all(InstanceId instance) {
    std::vector<Flight> landed;
    for_each_at(instance, [&](const Flight& flight) { landed.push_back(flight); });
    boost::unordered::erase_if(in_flight_, [&](const auto& one) { return one.second.instance == instance; });
    return landed;
  }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(in_flight_.size()); }

 private:
  std::vector<Slot> slots_;
  boost::unordered_flat_map<std::uint64_t, Flight> in_flight_;
};

}  // namespace dhub::delivery
