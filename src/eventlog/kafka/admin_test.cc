// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/admin.h"

#include "eventlog/kafka/test_cluster.h"

namespace dhub::kafka {
namespace {

// What cmake/librdkafka-*.patch is for: without it the process ends here, or the questions find no answer any more.

// Asks again while a cluster that has just begun, or come back, finds itself.
template <typename Ask>
auto eventually(Ask ask) {
  auto answer = ask();
  for (int i = 0; i < 20 && !answer; ++i) answer = ask();
  return answer;
}

std::shared_ptr<Handle> client_of(const TestCluster& cluster) {
  auto handle = Handle::open(Role::Producer,
                             {{"bootstrap.servers", cluster.bootstrap()}, {"reconnect.backoff.max.ms", "100"}}, {});
  EXPECT_TRUE(handle);
  return std::move(*handle);
}

TEST(Admin, AQuestionThatIsOverdueWhenTheBrokerComesBackDoesNoHarm) {
  TestCluster cluster;
  if (!cluster.is_mock()) GTEST_SKIP() << "a real broker is not taken down here";
  const GroupCursors cursors{"g", cluster.make_topic("orders"), {{PartitionId{0}, Offset{1}}}};
  const Admin admin(client_of(cluster), milliseconds(500));
  const auto tell = [&] { return admin.set_group_offsets(cursors); };
  ASSERT_TRUE(eventually(tell));
  rd_kafka_mock_broker_set_down(cluster.mock(), 1);
  EXPECT_FALSE(tell());
  EXPECT_FALSE(tell());
  rd_kafka_mock_broker_set_up(cluster.mock(), 1);
  EXPECT_TRUE(eventually(tell));
}

TEST(Admin, AGroupThatGetsAnotherCoordinatorIsAskedForThere) {
  TestCluster cluster(3);
  if (!cluster.is_mock()) GTEST_SKIP() << "groups of a real cluster stay where they are here";
  const GroupCursors cursors{"g", cluster.make_topic("orders"), {{PartitionId{0}, Offset{7}}}};
  const Admin admin(client_of(cluster));
  const auto tell = [&] { return admin.set_group_offsets(cursors); };
  const auto ask = [&] { return admin.group_offsets("g", cursors.topic, 1); };
  const auto move = [&](int from, int to, int question) {
    rd_kafka_mock_coordinator_set(cluster.mock(), "group", "g", to);
    for (int i = 0; i < 100; ++i)
      rd_kafka_mock_broker_push_request_error_rtts(cluster.mock(), from, static_cast<std::int16_t>(question), 1,
                                                   RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 0);
  };
  rd_kafka_mock_coordinator_set(cluster.mock(), "group", "g", 1);
  ASSERT_TRUE(eventually(tell));
  move(1, 2, 8);  // OffsetCommit
  EXPECT_FALSE(tell());
  EXPECT_TRUE(eventually(tell));
  ASSERT_TRUE(ask());
  move(2, 3, 9);  // OffsetFetch
  EXPECT_FALSE(ask());
  const auto found = eventually(ask);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->front().offset, Offset{7});
}

}  // namespace
}  // namespace dhub::kafka
