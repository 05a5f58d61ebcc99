// SPDX-License-Identifier: Apache-2.0
// Which events of the backlog have their bytes at hand.
#include <algorithm>

#include "base/check.h"
#include "delivery/backlog.h"

namespace dhub::delivery {

void Backlog::hold(Entry& held, const RecordView& record, const RecordBatchRef& batch) {
  held.hold = holds_.hold(batch);
  held.record = &record;
  held.is_alone = false;
}

// An event that stays long, or whose neighbours are not wanted, gets a copy of its own: it must not keep a whole batch.
void Backlog::hold_alone(Entry& held, const RecordView& record) {
  const RecordBatchRef own = batch_of_one(record);
  let_go(held);
  held.hold = holds_.hold_alone(own);
  held.record = &own->records[0];
  held.is_alone = true;
}

void Backlog::let_go(Entry& held) {
  if (held.record == nullptr) return;
  holds_.release(held.hold);
  held.hold = BatchHolds::kNone;
  held.record = nullptr;
}

void Backlog::weigh(const Lane& lane, int sign) {
  if (lane.is_parked) return;
  stock_ += sign * lane.stock;
  startable_ += sign * std::min(lane.stock, share_);
}

void Backlog::set_in_stock(Entry& one, bool in_stock) {
  if (one.in_stock == in_stock) return;
  one.in_stock = in_stock;
  const int change = in_stock ? 1 : -1;
  if (one.lane == Lanes::kNone) {
    stock_ += change;
    startable_ += change;
    return;
  }
  Lane& lane = lanes_[one.lane];
  weigh(lane, -1);
  lane.stock += change;
  weigh(lane, +1);
  note_hunger(one.lane);
}

void Backlog::recount(const Ref& ref) {
  failure_bytes_ += windows_[ref.window].recount(ref.offset);
}

// Keeps the bytes of one that stands behind a head which takes its time, if there is room for such.
bool Backlog::park_bytes(Entry& one, Lane& lane, const RecordView& record) {
  const std::uint64_t bytes = record.bytes() + kRecordOverhead + sizeof(RecordView);
  if (parked_bytes_ + bytes > most_bytes() / 8) return false;
  if (!one.is_alone || one.record == nullptr) hold_alone(one, record);
  lane.parked += bytes;
  parked_bytes_ += bytes;
  set_in_stock(one, true);
  return true;
}

void Backlog::park_lane(Lanes::Index index) {
  Lane& lane = lanes_[index];
  if (lane.is_parked) return;
  weigh(lane, -1);
  lane.is_parked = true;
  Ref first_without;
  for (Ref ref = entry(lane.head).next(); !ref.none() && ref != lane.lacking; ref = entry(ref).next()) {
    Entry& one = entry(ref);
    if (!one.in_stock) continue;
    if (first_without.none() && park_bytes(one, lane, *one.record)) continue;
    if (first_without.none()) first_without = ref;
    set_in_stock(one, false);
    let_go(one);
  }
  if (!first_without.none()) set_lacking(index, first_without);
  note_hunger(index);
}

void Backlog::unpark(Lanes::Index index) {
  Lane& lane = lanes_[index];
  if (!lane.is_parked) return;
  parked_bytes_ -= lane.parked;
  lane.parked = 0;
  lane.is_parked = false;
  weigh(lane, +1);
  note_hunger(index);
}

Ref Backlog::next_lacking(const Ref& behind) const {
  Ref ref = entry(behind).next();
  while (!ref.none() && (entry(ref).state != EntryState::Waiting || entry(ref).record != nullptr))
    ref = entry(ref).next();
  return ref;
}

void Backlog::set_lacking(Lanes::Index index, const Ref& lacking) {
  set_hungry(index, false);
  lanes_[index].lacking = lacking;
  note_hunger(index);
}

// From half of its share on down until it has all of it, so that bytes come in more than ones.
void Backlog::note_hunger(Lanes::Index index) {
  const Lane& lane = lanes_[index];
  const std::int64_t least = lane.is_hungry ? share_ : share_ / 2 + 1;
  set_hungry(index, !lane.lacking.none() && !lane.is_parked && lane.stock < least);
}

void Backlog::set_hungry(Lanes::Index index, bool is_hungry) {
  Lane& lane = lanes_[index];
  if (lane.is_hungry == is_hungry) return;
  lane.is_hungry = is_hungry;
  auto& wanted = passes_[lane.lacking.window].wanted;
  const std::pair place(lane.lacking.offset.value, index);
  if (is_hungry) {
    wanted.insert(place);
  } else {
    wanted.erase(place);
  }
  if (wanted.empty()) {
    lacking_.erase(lane.lacking.window);
  } else {
    lacking_.insert(lane.lacking.window);
  }
}

}  // namespace dhub::delivery
