// SPDX-License-Identifier: Apache-2.0
// The simulated adapters keep the same promises as the real ones.
#include "tests/conformance/catalog_suite.h"
#include "tests/conformance/event_log_suite.h"
#include "tests/conformance/journal_suite.h"
#include "tests/conformance/outbox_suite.h"
#include "tests/conformance/run_archive_suite.h"
#include "tests/conformance/topic_registry_suite.h"
#include "tests/simulation/sim_catalog.h"
#include "tests/simulation/sim_event_log.h"
#include "tests/simulation/sim_journal.h"
#include "tests/simulation/sim_outbox.h"
#include "tests/simulation/sim_run_archive.h"
#include "tests/simulation/sim_topic_registry.h"

namespace dhub::conformance {
namespace {

class SimHarness : public Harness {
 public:
  SimHarness() {
    disk_.at_once = true;
    reopen();
  }
  EventLog& event_log() override { return *log_; }
  Journal& journal() override { return *journal_; }
  Catalog& catalog() override { return *catalog_; }
  RunArchive& run_archive() override { return archive_; }
  Outbox& outbox() override { return *outbox_; }
  TopicRegistry& topic_registry() override { return registry_; }
  void reopen() override {
    outbox_.reset();
    outbox_ = std::make_unique<simulation::SimOutbox>(disk_);
    log_.reset();
    log_ = std::make_unique<simulation::SimEventLog>(disk_);
    journal_ = std::make_unique<simulation::SimJournal>(disk_);
    catalog_ = std::make_unique<simulation::SimCatalog>(disk_);
  }
  void advance(Duration by) override { EXPECT_TRUE(timeline_.run_for(by)); }
  [[nodiscard]] bool thread_safe() const override { return false; }

 private:
  simulation::Timeline timeline_;
  Random random_{1};
  simulation::Observer nobody_;
  simulation::SimDisk disk_{timeline_, random_, nobody_};
  simulation::SimRunArchive archive_;
  simulation::SimTopicRegistry registry_{disk_};
  std::unique_ptr<simulation::SimOutbox> outbox_;
  std::unique_ptr<simulation::SimEventLog> log_;
  std::unique_ptr<simulation::SimJournal> journal_;
  std::unique_ptr<simulation::SimCatalog> catalog_;
};

const Adapter kSimulated{"simulated", [] { return std::make_unique<SimHarness>(); }};
std::string name_of(const testing::TestParamInfo<Adapter>& adapter) {
  return adapter.param.name;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Simulation, EventLogConformance, testing::Values(kSimulated), name_of);
INSTANTIATE_TEST_SUITE_P(Simulation, JournalConformance, testing::Values(kSimulated), name_of);
INSTANTIATE_TEST_SUITE_P(Simulation, CatalogConformance, testing::Values(kSimulated), name_of);
INSTANTIATE_TEST_SUITE_P(Simulation, RunArchiveConformance, testing::Values(kSimulated), name_of);
INSTANTIATE_TEST_SUITE_P(Simulation, OutboxConformance, testing::Values(kSimulated), name_of);
INSTANTIATE_TEST_SUITE_P(Simulation, TopicRegistryConformance, testing::Values(kSimulated), name_of);

}  // namespace dhub::conformance
