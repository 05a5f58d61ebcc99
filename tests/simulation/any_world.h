// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/any_choice.h"
#include "tests/simulation/sim_world.h"

namespace dhub::simulation {

// A world in which whatever can happen to a server does, as its seed has it: users publish, start, stop, pause, seek
// and switch versions, often without waiting for an answer; instances, host, server and disk fail; topics grow and are
// cut off below. Two triggers: "p" on `orders`, which publishes to `out` and to another cluster, and "q" on `out`.
//
// live() goes on for a while, heal() ends all faults and holds the world to what must be true then. The invariants are
// checked all along, by the world's checkers and by what is said here.
class AnyWorld {
  AnyChoice choice_;  // before what is made by it

 public:
  SimWorld world;
  explicit AnyWorld(std::uint64_t seed);

  // Ends early when something is violated.
  void live(int deeds);
  void heal();
  [[nodiscard]] bool sound() const { return world.checkers.violations().empty(); }

  // Called with each life of the server, the first included.
  void with_each_life(std::function<void(SimServer&)> told);

 private:
  using Does = void (AnyWorld::*)();
  struct Deed {
    int weight;
    Does does;
  };
  static const std::vector<Deed> kWhileUp;
  static const std::vector<Deed> kWhileDown;
  using Place = std::pair<PartitionId, Offset>;

  // any_world_deeds.cc: one thing each that may happen
  void wait();
  void publish();
  void start();
  void seek();
  void stop();
  void pause();
  void resume();
  void switch_version();
  void ask_for_status();
  void kill_server();
  void shut_server_down();
  void boot_server();
  void trouble_disk();
  void trouble_log();
  void trouble_backend();
  void trouble_cluster();
  void end_some_trouble();
  void lose_host();
  void lose_instance();
  void take_old_messages();
  void grow_topic();
  void wake_old_owner();

  void choose(const std::vector<Deed>& deeds);
  template <typename T>
  service::Triggers::Done<T> answered(std::function<void(const Result<T>&)> then = {});
  void check_status(const service::TriggerStatus& status);
  void check_ready(const service::TriggerStatus& status, const SimPosition& position);
  void check_read_back();
  void check_dead_copies();
  void check_told();
  void check_far();
  void end_faults();
  void bring_all_back();
  void check_wake();
  [[nodiscard]] std::string any_pipeline() { return choice_.one_of({"p", "p", "p", "q"}); }

  std::function<void(SimServer&)> each_life_;
  std::map<Place, Message> acked_;  // in `orders`
  // Shared: of calls to this life of the server that are not answered; answers may come after it.
  std::shared_ptr<int> open_calls_ = std::make_shared<int>(0);
};

}  // namespace dhub::simulation
