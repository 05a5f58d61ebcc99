// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/admin.h"

#include "eventlog/kafka/test_cluster.h"

namespace dhub::kafka {
namespace {

// What cmake/librdkafka-*.patch is for: without it the process ends here.
TEST(Admin, AQuestionThatIsOverdueWhenTheBrokerComesBackDoesNoHarm) {
  TestCluster cluster;
  if (!cluster.is_mock()) GTEST_SKIP() << "a real broker is not taken down here";
  const GroupCursors cursors{"g", cluster.make_topic("orders"), {{PartitionId{0}, Offset{1}}}};
  auto handle = Handle::open(Role::Producer,
                             {{"bootstrap.servers", cluster.bootstrap()}, {"reconnect.backoff.max.ms", "100"}}, {});
  ASSERT_TRUE(handle);
  const Admin admin(std::shared_ptr<Handle>(std::move(*handle)), milliseconds(500));
  Status told = fail(ErrorCode::Unavailable, "");
  for (int i = 0; i < 20 && !told; ++i) told = admin.set_group_offsets(cursors);
  ASSERT_TRUE(told) << told.error().message;
  rd_kafka_mock_broker_set_down(cluster.mock(), 1);
  EXPECT_FALSE(admin.set_group_offsets(cursors));
  EXPECT_FALSE(admin.set_group_offsets(cursors));
  rd_kafka_mock_broker_set_up(cluster.mock(), 1);
  told = fail(ErrorCode::Unavailable, "");
  for (int i = 0; i < 20 && !told; ++i) told = admin.set_group_offsets(cursors);
  EXPECT_TRUE(told) << told.error().message;
}

}  // namespace
}  // namespace dhub::kafka
