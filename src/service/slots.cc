// SPDX-License-Identifier: Apache-2.0
#include "service/slots.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace dhub::service {
namespace {

constexpr Duration kRound = std::chrono::seconds(3);  // in which everybody is to have had a turn, if turns allow
constexpr Duration kLeastTurn = milliseconds(200);
constexpr Duration kMostTurn = std::chrono::seconds(1);
constexpr int kStartsPerTurn = 10;                           // a start takes a tenth of a turn at most ...
constexpr Duration kLongestTurn = std::chrono::seconds(30);  // ... unless it takes very long

// With saturation: limits are the users' numbers.
std::uint64_t times(std::uint64_t memory, std::int64_t instances) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(instances, 0));
  return count != 0 && memory > std::numeric_limits<std::uint64_t>::max() / count
             ? std::numeric_limits<std::uint64_t>::max()
             : memory * count;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= 10ULL << 30) return fmt::format("{}GiB", bytes >> 30);
  return fmt::format("{}MiB", bytes >> 20);
}

std::string instances_text(std::int64_t count) {
  return fmt::format("{} instance{}", count, count == 1 ? "" : "s");
}

}  // namespace

Slots::Slots(Scheduler& scheduler, Metrics& metrics, Machine machine)
    : scheduler_(scheduler),
      machine_(machine),
      in_use_(metrics.gauge("dhub_slots_in_use", "Instances over all triggers, in whatever state.")),
      leash_(scheduler) {
  metrics.gauge("dhub_slots", "Instances that may be there at a time, over all triggers.").set(machine_.instances);
}

Slots::~Slots() {
  CHECK(shares_.empty());
  scheduler_.cancel(timer_);
}

std::int32_t Slots::in_use() const {
  std::size_t holds = 0;
  for (const Share* share : shares_) holds += share->holds_.size();
  return static_cast<std::int32_t>(holds);
}

// Everybody has had one within kRound, as far as turns do not get too short for it.
Duration Slots::turn() const {
  const auto have_none = std::count_if(shares_.begin(), shares_.end(),
                                       [](const Share* share) { return share->waits() > 0 && share->holds_.empty(); });
  return std::clamp<Duration>(kRound * machine_.instances / (machine_.instances + have_none), kLeastTurn, kMostTurn);
}

Status Slots::check(const Claim& claim, const std::vector<Claim>& others) const {
  Account taken;
  for (const Claim& other : others) {
    taken.slots += other.least;
    taken.memory += std::min(times(other.memory, other.least), machine_.memory);
  }
  const std::int64_t least = std::max(claim.least, 1);
  const std::uint64_t memory = times(claim.memory, least);
  if (claim.least == 0) taken = {};
  if (taken.slots + least > machine_.instances)
    return fail(ErrorCode::Conflict,
                fmt::format("It needs {} at least (min_instances), and the machine carries {} (instances.most), of "
                            "which the min_instances of other triggers take {}. Lower min_instances, stop another "
                            "trigger, or raise instances.most.",
                            instances_text(least), instances_text(machine_.instances), taken.slots));
  if (memory > machine_.memory || taken.memory > machine_.memory - memory)
    return fail(
        ErrorCode::Conflict,
        fmt::format("{} of it may take {} (limits.memory), and all instances together may take {} "
                    "(instances.memory), of which the min_instances of other triggers take {}. Lower "
                    "limits.memory or min_instances, or stop another trigger.",
                    instances_text(least), size_text(memory), size_text(machine_.memory), size_text(taken.memory)));
  return {};
}

// ---- who gets what ----

bool Slots::can_ever(const Share& share) const {
  return share.claim_.memory <= machine_.memory;
}

Slots::Account Slots::used() const {
  Account used;
  for (const Share* share : shares_) {
    used.slots += share->held();
    used.memory += times(share->claim_.memory, share->promised_ + share->coming_);
    for (const auto& hold : share->holds_) used.memory += hold.memory;
  }
  return used;
}

Slots::Account Slots::ending() const {
  Account ending;
  for (const Share* share : shares_)
    for (const auto& hold : share->holds_)
      if (hold.leaving || hold.asked) {
        ++ending.slots;
        ending.memory += hold.memory;
      }
  return ending;
}

bool Slots::fits(const Share& share, const Account& used) const {
  return used.slots < machine_.instances && used.memory <= machine_.memory &&
         share.claim_.memory <= machine_.memory - used.memory;
}

// In the order of their right: what the next one needs is not given to others behind it, unless it has its fair share
// already. What is free is promised, then what ends already is counted on, then somebody is asked.
void Slots::balance() {
  scheduler_.cancel(std::exchange(timer_, Scheduler::TimerId::None));
  bool in_time = true;
  while (Share* next = most_entitled()) {
    const Account now = used();
    const Account ends = ending();
    if (in_time && fits(*next, now)) {
      ++next->promised_;
      next->tell_to_look();
    } else if (fits(*next, {now.slots - ends.slots, now.memory - std::min(now.memory, ends.memory)})) {
      in_time = false;
      ++next->coming_;
    } else if (const Giving giving = ask_for(*next); giving != Giving::Asked) {
      if (giving == Giving::Later || next->held() == 0) break;
      next->passed_over_ = true;
    }
  }
  for (Share* share : shares_) {
    share->coming_ = 0;
    share->passed_over_ = false;
  }
  count();
}

Slots::Share* Slots::most_entitled() const {
  Share* first = nullptr;
  const auto place = [](const Share& share) {
    const int need = share.held() == 0 ? 0 : share.held() < share.claim_.least ? 1 : 2;
    return std::tuple(need, share.held(), share.ticket_);
  };
  for (Share* share : shares_) {
    if (share->waits() - share->coming_ <= 0 || share->passed_over_ || !can_ever(*share)) continue;
    if (first == nullptr || place(*share) < place(*first)) first = share;
  }
  return first;
}

// Whose turn is over, and of those whoever has most beyond its min_instances; of equals, whose turn has lasted longest.
std::optional<Slots::Candidate> Slots::who_gives_to(const Share& share) const {
  const Duration usual = turn();
  std::optional<Candidate> best;
  const auto rank = [now = scheduler_.now().mono](const Candidate& one) {
    const std::int64_t active = one.share->active();
    return std::tuple(std::max(one.due, now), active <= one.share->claim_.least, -active, one.due);
  };
  for (Share* other : shares_) {
    const std::int64_t active = other->active();
    const bool spares = active >= 2 && active > other->claim_.least;
    const bool has_more = share.held() < share.claim_.least ? spares : spares && active >= share.held() + 2;
    if (other == &share || active == 0 || (share.held() > 0 && !has_more)) continue;
    for (std::size_t i = 0; i < other->holds_.size(); ++i) {
      const auto& hold = other->holds_[i];
      if (!hold.since || hold.asked || hold.leaving) continue;
      const Candidate candidate{other, i, *hold.since + std::max(usual, hold.least_turn)};
      if (!best || rank(candidate) < rank(*best)) best = candidate;
    }
  }
  return best;
}

// Later: it is looked at again in time.
Slots::Giving Slots::ask_for(const Share& share) {
  bool surplus = false;
  for (Share* other : shares_) {
    if (other == &share || !std::exchange(other->surplus_, false)) continue;
    other->tell_to_look();
    surplus = true;
  }
  if (surplus) return Giving::Later;  // they end what they do not need, or say that they do
  const auto found = who_gives_to(share);
  if (!found) return Giving::Nobody;
  if (found->due > scheduler_.now().mono) {
    timer_ = leash_.at(found->due, [this] {
      timer_ = Scheduler::TimerId::None;
      balance();
    });
    return Giving::Later;
  }
  auto& hold = found->share->holds_[found->hold];
  hold.asked = true;
  found->share->leash_.post([to = found->share, instance = hold.instance] { to->calls_.give_back(instance); });
  return Giving::Asked;
}

void Slots::count() {
  waiting_ = 0;
  for (Share* share : shares_) {
    share->is_waiting_ = share->waits() > 0 && can_ever(*share);
    waiting_ += share->is_waiting_ ? 1 : 0;
  }
  in_use_.set(in_use());
}

// ---- one trigger's part ----

Slots::Share::Share(Slots& slots, Calls calls) : slots_(slots), calls_(std::move(calls)), leash_(slots.scheduler_) {
  slots_.shares_.push_back(this);
}

Slots::Share::~Share() {
  std::erase(slots_.shares_, this);
  slots_.balance();
}

void Slots::Share::use(const Claim& claim) {
  claim_ = claim;
  slots_.balance();
}

std::int32_t Slots::Share::ask(std::int32_t more, bool surplus) {
  const bool frees = surplus && !std::exchange(surplus_, surplus) && others_wait();
  surplus_ = surplus;
  if (more == asked_ && promised_ == 0 && !frees) return 0;
  if (asked_ == 0 && more > 0) ticket_ = ++slots_.tickets_;
  asked_ = more;
  promised_ = 0;
  const bool is_told = std::exchange(is_told_, true);  // it looks just now
  slots_.balance();
  is_told_ = is_told;
  return promised_;
}

void Slots::Share::begin(InstanceId instance) {
  CHECK(promised_ > 0);
  --promised_;
  --asked_;
  holds_.push_back({instance, claim_.memory, {}, {}});
  ticket_ = ++slots_.tickets_;  // what it wants beside that is behind what others wait for
  slots_.count();
}

Slots::Share::Hold* Slots::Share::find(InstanceId instance) {
  const auto found =
      std::find_if(holds_.begin(), holds_.end(), [&](const Hold& hold) { return hold.instance == instance; });
  return found == holds_.end() ? nullptr : &*found;
}

void Slots::Share::ready(InstanceId instance, Duration took) {
  Hold* hold = find(instance);
  if (hold == nullptr) return;
  hold->since = slots_.scheduler_.now().mono;
  hold->least_turn = std::min<Duration>(took * kStartsPerTurn, kLongestTurn);
  if (slots_.waiting_ > 0) slots_.balance();
}

void Slots::Share::leave(InstanceId instance) {
  Hold* hold = find(instance);
  if (hold == nullptr || std::exchange(hold->leaving, true)) return;
  ticket_ = ++slots_.tickets_;
  if (slots_.waiting_ > 0) slots_.balance();
}

void Slots::Share::end(InstanceId instance) {
  if (std::erase_if(holds_, [&](const Hold& hold) { return hold.instance == instance; }) == 0) return;
  slots_.balance();
}

std::int64_t Slots::Share::active() const {
  return std::count_if(holds_.begin(), holds_.end(), [](const Hold& hold) { return !hold.asked && !hold.leaving; });
}

void Slots::Share::tell_to_look() {
  if (std::exchange(is_told_, true)) return;
  leash_.post([this] {
    is_told_ = false;
    calls_.look();
  });
}

std::string Slots::Share::why_it_waits() const {
  if (waits() <= 0) return "";
  const Machine& machine = slots_.machine_;
  if (!slots_.can_ever(*this))
    return fmt::format(
        "An instance of it may take {} (limits.memory), but all instances together may take {} "
        "(instances.memory).",
        size_text(claim_.memory), size_text(machine.memory));
  const Account used = slots_.used();
  if (used.slots >= machine.instances)
    return fmt::format("It waits for {}: {} of {} are in use (instances.most).", instances_text(waits()), used.slots,
                       machine.instances);
  return fmt::format("It waits for {} of {}: {} of {} are in use (instances.memory).", instances_text(waits()),
                     size_text(claim_.memory), size_text(used.memory), size_text(machine.memory));
}

}  // namespace dhub::service
