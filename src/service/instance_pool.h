// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/pipeline.h"
#include "ports/compute_backend.h"
#include "scaling/decide.h"
#include "service/slots.h"

namespace dhub::service {

// Hands out instance ids of one server process. Loop thread only.
class InstanceIds {
 public:
  InstanceId next() { return InstanceId{++last_}; }

 private:
  std::uint64_t last_ = 0;
};

// What the pool must know of the work to decide how many instances there should be.
struct Workload {
  std::int64_t runnable = 0;
  std::int64_t blocked = 0;
  std::int64_t in_flight = 0;
  std::optional<Duration> service_time;
  std::int32_t held_up = 0;  // instances that run an event which takes far longer than the others
};

// The instances of one trigger's event service: starts and drains them as the autoscaler decides, as far as the ledger
// of the machine grants them. Holds no events: what an instance has outstanding is asked of the engine. Loop thread
// only.
class InstancePool {
 public:
  // How many events are at an instance; none when the engine does not know the instance.
  using Outstanding = std::function<std::optional<std::size_t>(InstanceId)>;
  // Takes an idle instance out of the engine's hands before it is drained.
  using Retire = std::function<void(InstanceId)>;

  // What it asks of the engine and its owner.
  struct Asks {
    Outstanding outstanding;
    Retire retire;
    Slots::Calls slots;  // the ledger calls: to rescale(), and to end one by give_back()
  };

  InstancePool(ComputeBackend& backend, ComputeListener& listener, InstanceIds& ids, Slots& slots, Asks asks);

  // What new instances run. Instances of another version take no new events (the engine sees to that); rescale() ends
  // each as soon as it is idle. Until then it can become the current version again.
  void use(InstanceSpecRef spec, const Scaling& scaling);
  // Starts and drains; answers when to ask again at the latest.
  std::optional<Instant> rescale(const Workload& work, const Now& now);

  // Answers how long the start took, none for an instance that is draining already.
  std::optional<Duration> on_ready(InstanceId instance, const Now& now);
  void on_outcomes(InstanceId instance);
  // A start has failed when the instance ends by itself before it has brought an outcome. That puts off the next start:
  // 1 s, doubling to 30 s until an outcome arrives; and until one is ready there is one at a time.
  void on_ended(const InstanceEnded& ended, const Now& now);

  // For others whose turn it is: the instance ends when it has finished what it has begun, the rest comes back. Its
  // owner has told the engine.
  void give_back(InstanceId instance);
  // What has not begun comes back, the rest finishes.
  void drain_all();
  void kill_all();

  [[nodiscard]] std::optional<Version> version_of(InstanceId instance) const;
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] std::size_t ready() const;
  [[nodiscard]] std::int32_t wanted() const { return wanted_; }
  // As many of the wanted ones as there are, or are about to be.
  [[nodiscard]] std::int32_t granted() const { return granted_; }
  // Not started because others hold what the machine carries; why_it_waits() says it in a sentence.
  [[nodiscard]] std::int32_t waits_for() const { return share_.waits_for(); }
  [[nodiscard]] std::string why_it_waits() const { return share_.why_it_waits(); }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  // Why instances cannot start, until one does.
  [[nodiscard]] const std::optional<InstanceEnded>& start_failure() const { return start_failure_; }

 private:
  enum class State { Starting, Ready, Draining };
  struct Member {
    InstanceId id{};
    Version version{};
    State state = State::Starting;
    Instant started{};
    Instant since{};  // ready, or idle since when Ready and idle
    bool was_busy = false;
    bool proven = false;     // has brought an outcome
    bool overtaken = false;  // another of its version has, since it was started
  };

  Member* find(InstanceId instance);
  [[nodiscard]] bool is_current(const Member& member) const { return member.version == spec_->version; }
  void note_idleness(const Now& now);
  void end_older_versions();
  void hold_back(scaling::Plan& plan, const Now& now) const;
  void ask_for_slots(scaling::Plan& plan, const scaling::Observations& seen);
  void start(std::int32_t count, const Now& now);
  void drain_idle(std::int32_t count);
  void drain(Member& member);
  [[nodiscard]] scaling::Observations observe(const Workload& work, const Now& now);

  ComputeBackend& backend_;
  ComputeListener& listener_;
  InstanceIds& ids_;
  Outstanding outstanding_;
  Retire retire_;
  Slots::Share share_;
  InstanceSpecRef spec_;
  Scaling scaling_;
  std::vector<Member> members_;
  std::int32_t wanted_ = 0;
  std::int32_t granted_ = 0;
  std::int32_t waits_for_ = 0;  // when reason_ was made
  std::string reason_ = "No instances: nothing has happened yet.";
  std::optional<InstanceEnded> start_failure_;
  std::optional<Instant> no_start_before_;
  Instant last_start_failure_{};
  Duration start_delay_{};
  Instant last_activity_{};
};

}  // namespace dhub::service
