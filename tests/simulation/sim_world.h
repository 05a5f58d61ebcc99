// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "service/outbox_drain.h"
#include "service/supervisor.h"
#include "tests/simulation/checkers.h"
#include "tests/simulation/fake_cluster.h"
#include "tests/simulation/sim_backend.h"
#include "tests/simulation/sim_catalog.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_event_log.h"
#include "tests/simulation/sim_journal.h"
#include "tests/simulation/sim_outbox.h"
#include "tests/simulation/sim_run_archive.h"
#include "tests/simulation/sim_scheduler.h"
#include "tests/simulation/timeline.h"
#include "tests/simulation/trace.h"

namespace dhub::simulation {

// One life of the server process: all that a kill takes with it.
class SimServer {
 public:
  // Of the world around it.
  struct Around {
    Timeline& timeline;
    Random& random;
    SimDisk& disk;
    FakeCluster& cluster;
    const BackendFaults& faults;
    Observer& observer;
  };
  SimServer(const Around& around, Logger::Sink log, service::SupervisorOptions options);

  SimScheduler scheduler;
  SimEventLog event_log;
  SimJournal journal;
  SimCatalog catalog;
  SimOutbox outbox;
  SimRunArchive run_archive;
  SimBackend backend;
  Metrics metrics;
  Logger logger;
  service::Supervisor supervisor;
  service::OutboxDrain outbox_drain;
};

// A machine with a disk, a server on it, clients, and a clock of its own. The same seed gives the same world.
class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed, service::SupervisorOptions options = {4, 1, std::chrono::seconds(10)});
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  void boot();
  // As by kill -9 or a power cut.
  void kill();
  // Orderly; true when it was done within `most`.
  bool shut_down(Duration grace, Duration most = std::chrono::seconds(60));
  [[nodiscard]] bool up() const { return server_ != nullptr; }
  [[nodiscard]] SimServer& server() { return *server_; }
  [[nodiscard]] service::Supervisor& triggers() { return server_->supervisor; }

  // Each waits for its answer, at most a simulated minute; no answer is a violation.
  void create(const std::string& id, const std::string& options, const std::string& steps = kOneStep);
  // Stores the next version; answers its number.
  Version put(const std::string& id, const std::string& options, const std::string& steps);
  Result<service::Started> start(const std::string& id, std::optional<service::StartFrom> from = std::nullopt,
                                 std::optional<Version> version = std::nullopt);
  Result<service::Started> start(const service::StartCommand& command);
  Status stop(const std::string& id);
  Status pause(const std::string& id);
  Status resume(const std::string& id);
  Result<service::TriggerStatus> status(const std::string& id);
  Result<service::MessageState> message_state(const std::string& id, std::int64_t offset, std::int32_t partition = 0);
  std::vector<Placement> publish(const std::string& topic, const std::vector<std::string>& values,
                                 const std::optional<std::string>& key = std::nullopt);

  bool run_for(Duration duration);
  // At most a simulated minute, or `most`.
  bool run_until(const std::function<bool()>& done, Duration most = std::chrono::minutes(1));
  // Everything that was published to the trigger's topic is final.
  bool run_until_drained(const std::string& id, Duration most = std::chrono::minutes(10));

  // Of the pipeline's current position.
  [[nodiscard]] SimPosition* position(const std::string& id);
  [[nodiscard]] FinalState state(const std::string& id, std::int64_t offset, std::int32_t partition = 0);
  [[nodiscard]] std::size_t alive(const std::string& id) const { return checkers.alive(id); }

  static constexpr const char* kOneStep = R"([{"name":"work","script":"def handle(event): pass"}])";
  static constexpr const char* kOtherStep = R"([{"name":"work","script":"def handle(event): return 2"}])";

  Timeline timeline;
  Random random;
  Trace trace;
  Checkers checkers;
  SimDisk disk;
  FakeCluster cluster{timeline};  // outputs go there
  BackendFaults backend_faults;

 private:
  template <typename T>
  Result<T> wait_for(const std::function<void(service::Triggers::Done<T>)>& call);

  const service::SupervisorOptions options_;
  std::unique_ptr<SimServer> server_;
};

}  // namespace dhub::simulation
