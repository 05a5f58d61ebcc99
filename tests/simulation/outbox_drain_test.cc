// SPDX-License-Identifier: Apache-2.0
#include "service/outbox_drain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "tests/simulation/sim_outbox.h"
#include "tests/simulation/sim_scheduler.h"

namespace dhub::simulation {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Values = std::vector<std::string>;

// A cluster that takes what is published, after a while, or does not. Only that can be asked of it.
class FakeCluster : public EventLog {
 public:
  explicit FakeCluster(Timeline& timeline) : timeline_(timeline) {}

  std::map<std::string, Values> topics_of_it;
  std::map<std::string, ErrorCode> refusing;  // by topic
  std::set<std::string> too_large;            // values that no topic takes
  int requests = 0;
  int under_way = 0;
  int most_under_way = 0;
  Duration takes = milliseconds(5);

  void publish(PublishRequest request, PublishDone done) override {
    ++requests;
    most_under_way = std::max(most_under_way, ++under_way);
    timeline_.after(takes, [this, request = std::move(request), done = std::move(done)] {
      --under_way;
      done(take(request));
    });
  }

  Result<Topic> create_topic(const std::string&, const TopicSettings&) override { return nothing(); }
  Result<Topic> ensure_topic(const std::string&) override { return nothing(); }
  Result<Topic> update_topic(const std::string&, const TopicSettings&) override { return nothing(); }
  Result<Topic> topic(const std::string&) const override { return nothing(); }
  Result<Topic> topic(TopicUid) const override { return nothing(); }
  Result<std::vector<Topic>> topics(const std::string&, std::size_t) const override { return nothing(); }
  Status delete_topic(const std::string&) override { return nothing(); }
  Result<ReadResult> read(TopicUid, PartitionId, Offset, std::size_t) const override { return nothing(); }
  std::unique_ptr<TopicReader> open_reader(TopicUid, std::function<void()>) override { return nullptr; }
  void note_cursors(TopicUid, const std::string&, const std::vector<StartOffset>&) override {}
  Result<std::vector<StartOffset>> group_offsets(TopicUid, const std::string&) const override { return nothing(); }

 private:
  static tl::unexpected<Error> nothing() { return fail(ErrorCode::Unsupported, "Not here."); }
  // What comes before a message that is refused is stored all the same, as brokers do it.
  Result<std::vector<Placement>> take(const PublishRequest& request) {
    if (const auto code = refusing.find(request.topic); code != refusing.end()) return fail(code->second, "refused");
    std::vector<Placement> placements;
    for (const auto& message : request.messages) {
      const std::string value = message.value.value_or("");
      if (too_large.contains(value)) return fail(ErrorCode::TooLarge, "too large");
      topics_of_it[request.topic].push_back(value);
      placements.emplace_back();
    }
    return placements;
  }

  Timeline& timeline_;
};

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
