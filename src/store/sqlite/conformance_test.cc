// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/store_harness_test.h"
#include "tests/conformance/catalog_suite.h"
#include "tests/conformance/event_log_suite.h"
#include "tests/conformance/journal_suite.h"
#include "tests/conformance/outbox_suite.h"
#include "tests/conformance/run_archive_suite.h"
#include "tests/conformance/topic_registry_suite.h"

namespace dhub::conformance {
namespace {

const Adapter kEmbedded{"embedded", [] { return std::make_unique<store::StoreHarness>(); }};
std::string name_of(const testing::TestParamInfo<Adapter>& adapter) {
  return adapter.param.name;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Store, EventLogConformance, testing::Values(kEmbedded), name_of);
INSTANTIATE_TEST_SUITE_P(Store, JournalConformance, testing::Values(kEmbedded), name_of);
INSTANTIATE_TEST_SUITE_P(Store, CatalogConformance, testing::Values(kEmbedded), name_of);
INSTANTIATE_TEST_SUITE_P(Store, RunArchiveConformance, testing::Values(kEmbedded), name_of);
INSTANTIATE_TEST_SUITE_P(Store, OutboxConformance, testing::Values(kEmbedded), name_of);
INSTANTIATE_TEST_SUITE_P(Store, TopicRegistryConformance, testing::Values(kEmbedded), name_of);

}  // namespace dhub::conformance
