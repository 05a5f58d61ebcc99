// SPDX-License-Identifier: Apache-2.0
#include "service/outbox_drain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/simulation/fake_cluster.h"
#include "tests/simulation/sim_outbox.h"
#include "tests/simulation/sim_scheduler.h"

namespace dhub::simulation {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Values = std::vector<std::string>;

class OutboxDrainTest : public testing::Test {
 protected:
  OutboxDrainTest() { boot(); }
  ~OutboxDrainTest() override { kill(); }

  void boot() {
    scheduler_.emplace(timeline);
    drain_.emplace(*scheduler_, outbox_, cluster, metrics_, logger_, 1);
  }
  // What the process had in mind is gone; what is under way may still arrive in the cluster.
  void kill() {
    drain_.reset();
    scheduler_.reset();
  }
  // As a commit does it.
  void post(const std::string& topic, const Values& values) {
    for (const auto& value : values)
      disk_.outbox.push_back({++disk_.last_posted, topic, Message{"k", {}, value, WallTime{1}}});
    disk_.on_post(topic);
  }
  service::OutboxDrain& drain() { return *drain_; }
  bool run_until_empty() {
    return timeline.run_until([this] { return disk_.outbox.empty(); }, seconds(120));
  }
  void run_for(Duration duration) { EXPECT_TRUE(timeline.run_for(duration)); }
  [[nodiscard]] std::size_t waiting() const { return disk_.outbox.size(); }
  std::string log_;

  Timeline timeline;
  FakeCluster cluster{timeline};

 private:
  Random random_{1};
  Observer nobody_;
  SimDisk disk_{timeline, random_, nobody_};
  SimOutbox outbox_{disk_};
  Metrics metrics_;
  Logger logger_{LogFormat::Logfmt, LogLevel::Debug, [this](std::string_view line) {
                   log_ += line;
                   return true;
                 }};
  std::optional<SimScheduler> scheduler_;
  std::optional<service::OutboxDrain> drain_;
};

TEST_F(OutboxDrainTest, SendsWhatACommitPostsAndRemovesIt) {
  drain().start();
  run_for(seconds(1));
  post("kafka/out", {"1", "2"});
  EXPECT_TRUE(run_until_empty());
  post("kafka/out", {"3"});
  EXPECT_TRUE(run_until_empty());
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1", "2", "3"));
  EXPECT_EQ(cluster.requests, 2);
  run_for(seconds(60));
  EXPECT_EQ(cluster.requests, 2) << "nothing is asked for when there is nothing";
}

TEST_F(OutboxDrainTest, SendsWhatAnEarlierLifeLeft) {
  post("kafka/out", {"1", "2"});
  drain().start();
  EXPECT_TRUE(run_until_empty());
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1", "2"));
}

TEST_F(OutboxDrainTest, ATopicHasOneRequestUnderWaySoThatItsOrderHolds) {
  drain().start();
  for (int i = 0; i < 50; ++i) {
    post("kafka/out", {std::to_string(i)});
    run_for(milliseconds(1));
  }
  EXPECT_TRUE(run_until_empty());
  Values expected;
  for (int i = 0; i < 50; ++i) expected.push_back(std::to_string(i));
  EXPECT_EQ(cluster.topics_of_it["kafka/out"], expected);
  EXPECT_EQ(cluster.most_under_way, 1);
  EXPECT_LT(cluster.requests, 30) << "what waits goes together";
}

TEST_F(OutboxDrainTest, IsTriedAgainUntilTheClusterTakesIt) {
  drain().start();
  cluster.refusing["kafka/out"] = ErrorCode::Unavailable;
  post("kafka/out", {"1", "2"});
  run_for(std::chrono::minutes(10));
  EXPECT_GT(cluster.requests, 100);
  EXPECT_LT(cluster.requests, 300);
  ASSERT_EQ(drain().troubles().size(), 1U);
  EXPECT_EQ(drain().troubles()[0].topic, "kafka/out");
  EXPECT_NE(log_.find("outputs wait"), std::string::npos);
  cluster.refusing.clear();
  EXPECT_TRUE(run_until_empty());
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1", "2"));
  EXPECT_THAT(drain().troubles(), IsEmpty());
  EXPECT_NE(log_.find("outputs are sent again"), std::string::npos);
}

TEST_F(OutboxDrainTest, ATopicThatTakesNothingHoldsNoOtherUp) {
  drain().start();
  cluster.refusing["kafka/closed"] = ErrorCode::PermissionDenied;
  post("kafka/closed", {"x"});
  post("kafka/out", {"1"});
  post("other/out", {"2"});
  run_for(seconds(1));
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1"));
  EXPECT_THAT(cluster.topics_of_it["other/out"], ElementsAre("2"));
  EXPECT_EQ(waiting(), 1U);
}

TEST_F(OutboxDrainTest, OneThatIsRefusedStaysAndItsNeighboursAreNotRepeatedForEver) {
  drain().start();
  cluster.too_large = {"LARGE"};
  post("kafka/out", {"1", "2", "LARGE", "3"});
  run_for(std::chrono::minutes(10));
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1", "2", "1", "2")) << "once in vain, once singly";
  EXPECT_EQ(waiting(), 2U) << "nothing is given up, and nothing overtakes";
  cluster.too_large.clear();
  EXPECT_TRUE(run_until_empty());
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1", "2", "1", "2", "LARGE", "3"));
}

TEST_F(OutboxDrainTest, AnAnswerThatComesAfterTheEndOfTheProcessIsNobodys) {
  drain().start();
  post("kafka/out", {"1"});
  run_for(milliseconds(2));
  ASSERT_EQ(cluster.under_way, 1);
  kill();
  run_for(seconds(1));
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1"));
  EXPECT_EQ(waiting(), 1U);
  boot();
  drain().start();
  EXPECT_TRUE(run_until_empty());
  EXPECT_THAT(cluster.topics_of_it["kafka/out"], ElementsAre("1", "1")) << "at least once";
}

TEST_F(OutboxDrainTest, TheEndWaitsForWhatIsUnderWay) {
  drain().start();
  post("kafka/out", {"1"});
  run_for(milliseconds(2));
  bool done = false;
  drain().finish(seconds(5), [&] { done = true; });
  run_for(milliseconds(1));
  EXPECT_FALSE(done);
  EXPECT_TRUE(timeline.run_until([&] { return done; }, seconds(1)));
  EXPECT_EQ(waiting(), 0U) << "and it was removed";
}

TEST_F(OutboxDrainTest, TheEndDoesNotWaitForATopicThatTakesNothing) {
  drain().start();
  cluster.refusing["kafka/out"] = ErrorCode::Unavailable;
  post("kafka/out", {"1"});
  run_for(seconds(1));
  bool done = false;
  drain().finish(seconds(5), [&] { done = true; });
  EXPECT_TRUE(timeline.run_until([&] { return done; }, milliseconds(100)));
  const int requests = cluster.requests;
  run_for(std::chrono::minutes(1));
  EXPECT_EQ(cluster.requests, requests) << "nothing is sent after the end";
  EXPECT_EQ(waiting(), 1U);
}

TEST_F(OutboxDrainTest, TheEndHasADeadline) {
  drain().start();
  cluster.takes = std::chrono::hours(1);
  post("kafka/out", {"1"});
  run_for(seconds(1));
  bool done = false;
  drain().finish(seconds(5), [&] { done = true; });
  run_for(seconds(4));
  EXPECT_FALSE(done);
  run_for(seconds(2));
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace dhub::simulation
