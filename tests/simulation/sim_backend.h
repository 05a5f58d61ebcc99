// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "ports/compute_backend.h"
#include "tests/simulation/behaviour.h"
#include "tests/simulation/observer.h"
#include "tests/simulation/sim_scheduler.h"

namespace dhub::simulation {

// What no backend may do, for proving that the checkers see it.
struct BackendLies {
  bool break_chains = false;  // goes on with a key after one of it has failed
  double lose_outcome = 0;    // chance that one is never told
  bool call_failures_good = false;
  double blame_neighbours = 0;  // chance that an event which had not begun is called the one that crashed
  double run_twice = 0;         // chance that an event is executed again at once
  double outlive = 0;           // chance that a process stays though its end is told
  bool keep_drained = false;    // instances stay though they were asked to end
};

// How instances behave, and what goes wrong with them.
struct BackendFaults {
  Duration start_least = milliseconds(1), start_most = milliseconds(5);
  Duration service_least = milliseconds(1), service_most = milliseconds(5);
  Duration way_most = milliseconds(1);  // of a word between server and instance
  double crash = 0;                     // chance that a worker dies under an event
  double fail_start = 0;
  std::set<std::string> broken_pipelines;  // whose instances never start
  BackendLies lies;

  // All is well again, but for the lies.
  void end() {
    BackendFaults none;
    none.lies = lies;
    *this = none;
  }
};

// Instances of user code that live as long as one life of the server. What an event does is read from its value. Words
// to and from an instance stay in order and take a while.
class SimBackend final : public ComputeBackend {
 public:
  SimBackend(SimScheduler& scheduler, Random& random, const BackendFaults& faults, Observer& observer)
      : scheduler_(scheduler), random_(random), faults_(faults), observer_(observer) {}
  SimBackend(const SimBackend&) = delete;
  SimBackend& operator=(const SimBackend&) = delete;

  void start(InstanceId instance, InstanceSpecRef spec, ComputeListener& listener) override;
  void deliver(InstanceId instance, const std::vector<Delivery>& frame) override;
  void recall(InstanceId instance) override;
  void drain(InstanceId instance) override;
  void kill(InstanceId instance) override;

  // The host process dies with all instances.
  void lose_host();
  // One instance dies while it is idle or busy, as by a stray signal.
  void crash(InstanceId instance);

  [[nodiscard]] std::vector<InstanceId> instances() const;
  // Of a pipeline, processes that exist; of one version when it is given.
  [[nodiscard]] std::size_t alive(const std::string& pipeline_id, std::optional<Version> version = std::nullopt) const;
  [[nodiscard]] std::size_t alive() const;

 private:
  struct Work {
    Execution execution;
    std::uint16_t chain = 0;
    Behaviour behaviour;
    Scheduler::TimerId timer = Scheduler::TimerId::None;
    Instant since{};
  };
  struct Instance {
    InstanceSpecRef spec;
    ComputeListener* listener = nullptr;
    bool ready = false;
    bool drain_asked = false;
    bool draining = false;
    bool dead = false;                       // its process is gone, the server does not know yet
    std::deque<std::vector<Work>> arriving;  // frames on their way
    std::deque<Work> queue;
    std::vector<Work> running;
    std::set<std::uint16_t> failed_chains;
    std::vector<Outcome> unsent;
    bool sending = false;
    Instant last_word_in{};
    Instant last_word_out{};
  };

  Instance* find(InstanceId id);
  [[nodiscard]] bool lies(double probability) { return probability > 0 && random_.unit() < probability; }
  Duration between(Duration least, Duration most);
  void word_in(InstanceId id, std::function<void(Instance&)> heard);
  void word_out(InstanceId id, std::function<void(Instance&)> told);
  void became_ready(InstanceId id, Instance& instance);
  void go_on(InstanceId id, Instance& instance);
  void begin(InstanceId id, Instance& instance, Work work);
  void finish(InstanceId id, DeliveryId delivery);
  void give_back(Instance& instance);
  void send(InstanceId id, Instance& instance);
  void end(InstanceId id, Instance& instance, EndReason reason, const std::string& detail);
  static Outcome outcome_of(const Work& work, OutcomeKind kind, std::string error);

  SimScheduler& scheduler_;
  Random& random_;
  const BackendFaults& faults_;
  Observer& observer_;
  std::map<InstanceId, Instance> instances_;
};

}  // namespace dhub::simulation
