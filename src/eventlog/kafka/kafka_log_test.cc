// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/kafka_log.h"

#include <gmock/gmock.h>

#include "eventlog/kafka/test_cluster.h"

namespace dhub::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class KafkaLogTest : public testing::Test {
 protected:
  void SetUp() override {
    // The mock has no controller, whom the questions about topics go to.
    if (cluster.is_mock()) GTEST_SKIP() << "no broker; `tools/test --only kafka` runs this on real ones";
    log_ = open();
  }

  std::unique_ptr<KafkaLog> open(Properties more = {}) {
    KafkaOptions options{"main", {{"bootstrap.servers", cluster.bootstrap()}}};
    options.properties.insert(options.properties.end(), more.begin(), more.end());
    auto opened = KafkaLog::open(options, registry, logger);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    return std::move(*opened);
  }
  KafkaLog& log() { return *log_; }
  // A topic that was just made may have no leader yet.
  Result<Topic> find(const std::string& name) {
    const Instant until = read_clocks().mono + std::chrono::seconds(20);
    while (true) {
      auto found = log().topic(name);
      if (found || found.error().code != ErrorCode::Unavailable || read_clocks().mono > until) return found;
    }
  }

  Result<std::vector<Placement>> publish(const std::string& topic, std::vector<Message> messages) {
    PublishRequest request;
    request.topic = topic;
    request.messages = std::move(messages);
    return publish(std::move(request));
  }
  Result<std::vector<Placement>> publish(PublishRequest request) { return publish(log(), std::move(request)); }
  static Result<std::vector<Placement>> publish(KafkaLog& log, PublishRequest request) {
    std::promise<Result<std::vector<Placement>>> promise;
    auto answered = promise.get_future();
    log.publish(std::move(request),
                [&](Result<std::vector<Placement>> placed) { promise.set_value(std::move(placed)); });
    return answered.get();
  }
  std::vector<Placement> must_publish(const std::string& topic, std::vector<Message> messages) {
    auto placed = publish(topic, std::move(messages));
    EXPECT_TRUE(placed) << (placed ? "" : placed.error().message);
    return placed.value_or(std::vector<Placement>{});
  }
  static Message text(std::string value, std::optional<std::string> key = std::nullopt) {
    return Message{std::move(key), {}, std::move(value), {}};
  }
  static std::vector<Message> numbered(int first, int count) {
    std::vector<Message> messages;
    for (int i = first; i < first + count; ++i) messages.push_back(text(std::to_string(i), "k"));
    return messages;
  }

  TestCluster cluster;
  FakeRegistry registry;
  Logger logger{LogFormat::Logfmt, LogLevel::Error, [](std::string_view) { return true; }};

 private:
  std::unique_ptr<KafkaLog> log_;
};

// A subscription in small: reads on from where it is, waits for news when there is nothing.
class Follower {
 public:
  Follower(KafkaLog& log, TopicUid uid, Offset from, PartitionId partition = {})
      : reader_(log.open_reader(uid, news_.listener())), partition_(partition), at_(from) {}

  // Values as they come, until there are `count` of them or an error.
  std::vector<std::string> take(std::size_t count) {
    std::vector<std::string> values;
    while (values.size() < count) {
      auto read = reader_->read(partition_, at_, 1 << 20);
      if (!read) {
        error = read.error();
        return values;
      }
      for (const auto& record : read->batch->records) {
        if (record.offset < at_) continue;
        values.emplace_back(record.value.value_or("<null>"));
      }
      at_ = read->next_offset;
      const bool idle = read->end_reached || read->pending;
      if (values.size() < count && idle && !news_.wait()) {
        ADD_FAILURE() << "no news at offset " << at_.value << " after " << values.size() << " values";
        return values;
      }
    }
    return values;
  }
  // Reads until the end is reached, and says where that is.
  Offset run_to_end() {
    for (;;) {
      auto read = reader_->read(partition_, at_, 1 << 20);
      if (!read) {
        error = read.error();
        return at_;
      }
      at_ = read->next_offset;
      if (read->end_reached && read->batch->records.empty()) return at_;
      if ((read->pending || read->end_reached) && !news_.wait()) return at_;
    }
  }
  TopicReader& reader() { return *reader_; }
  News& news() { return news_; }
  std::optional<Error> error;

 private:
  News news_;
  std::unique_ptr<TopicReader> reader_;
  PartitionId partition_;
  Offset at_;
};

TEST_F(KafkaLogTest, MessagesAreReadBackByteForByte) {
  const auto topic = cluster.make_topic("bytes");
  const std::vector<Message> messages = {
      {"k", {{"h", "1"}, {"h", std::nullopt}, {"e", ""}}, std::string("\0\xff value", 8), WallTime{1'700'000'000'123}},
      {std::nullopt, {}, std::nullopt, WallTime{1'700'000'000'124}},
      {"", {}, "", WallTime{1'700'000'000'125}}};
  const auto placed = must_publish(topic, messages);
  ASSERT_EQ(placed.size(), 3u);
  EXPECT_EQ(placed[2].offset, Offset{2});
  const auto found = find(topic);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->cluster, "main");
  EXPECT_EQ(found->partitions.at(0).end, Offset{3});
  const auto read = log().read(found->uid, {}, Offset{0}, 1 << 20);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->batch->records.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(*to_message(read->batch->records[i]), messages[i]) << i;
}

TEST_F(KafkaLogTest, AFollowerAtTheEndHearsOfWhatComes) {
  const auto topic = cluster.make_topic("live");
  must_publish(topic, numbered(0, 3));
  const auto found = find(topic);
  Follower follower(log(), found->uid, found->partitions.at(0).end);
  EXPECT_EQ(follower.run_to_end(), Offset{3});
  must_publish(topic, numbered(3, 2));
  EXPECT_THAT(follower.take(2), ElementsAre("3", "4"));
}

TEST_F(KafkaLogTest, NewsNamesThePartitionThatHasGrown) {
  const auto topic = cluster.make_topic("partitions", 5);
  const auto found = find(topic);
  News news;
  const auto reader = log().open_reader(found->uid, news.listener());
  std::set<PartitionId> behind;
  for (const auto& range : found->partitions) behind.insert(range.partition);
  while (!behind.empty()) {
    bool more = false;
    std::erase_if(behind, [&](PartitionId partition) {
      const auto read = reader->read(partition, Offset{0}, 1 << 20);
      more = more || (read && !read->end_reached && !read->pending);  // nobody calls for what is at hand
      return read && read->end_reached;
    });
    ASSERT_TRUE(behind.empty() || more || news.wait());
  }
  (void)news.partitions();
  // Told by the feed, and by the inspection that finds a higher end. Feeds of the others may tell that they are at it.
  for (int i = 0; i < 3; ++i) {
    const auto placed = must_publish(topic, {text("a", "key")}).at(0);
    std::set<std::optional<PartitionId>> told;
    while (!told.contains(placed.partition)) {
      ASSERT_TRUE(news.wait());
      told.merge(news.partitions());
    }
    EXPECT_FALSE(told.contains(std::nullopt)) << "all of them were to be looked at";
    ASSERT_TRUE(reader->read(placed.partition, placed.offset, 1 << 20));
  }
}

TEST_F(KafkaLogTest, WhoIsBehindCatchesUpAndThenFollowsTheHead) {
  const auto topic = cluster.make_topic("behind");
  must_publish(topic, numbered(0, 500));
  const auto found = find(topic);
  Follower ahead(log(), found->uid, Offset{500});
  EXPECT_EQ(ahead.run_to_end(), Offset{500});
  Follower behind(log(), found->uid, Offset{0});
  const auto values = behind.take(500);
  ASSERT_EQ(values.size(), 500u);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(values[static_cast<std::size_t>(i)], std::to_string(i));
  EXPECT_EQ(behind.run_to_end(), Offset{500});
  must_publish(topic, numbered(500, 1));
  EXPECT_THAT(ahead.take(1), ElementsAre("500"));
  EXPECT_THAT(behind.take(1), ElementsAre("500"));
}

TEST_F(KafkaLogTest, ManyFollowersShareOneStreamAndEachGetsAll) {
  const auto topic = cluster.make_topic("many");
  const auto found = find(topic);
  ASSERT_TRUE(found);
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < 50; ++i) followers.push_back(std::make_unique<Follower>(log(), found->uid, Offset{0}));
  for (const auto& follower : followers) EXPECT_EQ(follower->run_to_end(), Offset{0});
  must_publish(topic, numbered(0, 20));
  for (const auto& follower : followers) EXPECT_EQ(follower->take(20).size(), 20u);
  // A slow one, and those before it go on.
  must_publish(topic, numbered(20, 20));
  for (std::size_t i = 1; i < followers.size(); ++i) EXPECT_EQ(followers[i]->take(20).size(), 20u);
  EXPECT_THAT(followers[0]->take(20).back(), "39");
}

TEST_F(KafkaLogTest, MoreThanAllBorrowedClientsTakeTurns) {
  const auto topic = cluster.make_topic("turns");
  must_publish(topic, numbered(0, 100));
  const auto uid = log().topic(topic)->uid;
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < 40; ++i) followers.push_back(std::make_unique<Follower>(log(), uid, Offset{0}));
  for (const auto& follower : followers) EXPECT_EQ(follower->take(100).size(), 100u);
  for (const auto& follower : followers) EXPECT_EQ(follower->run_to_end(), Offset{100});
}

TEST_F(KafkaLogTest, ASecondReadingPassesOverWhatTheFirstHasRead) {
  const auto topic = cluster.make_topic("again");
  must_publish(topic, numbered(0, 10));
  const auto uid = log().topic(topic)->uid;
  Follower follower(log(), uid, Offset{10});
  follower.run_to_end();
  Follower again(log(), uid, Offset{4});
  auto second = again.take(3);  // and what came with them
  second.resize(3);
  EXPECT_EQ(second, (std::vector<std::string>{"4", "5", "6"}));
  must_publish(topic, numbered(10, 1));
  EXPECT_EQ(follower.take(1), std::vector<std::string>{"10"});
}

TEST_F(KafkaLogTest, WhatIsReadOutOfTurnIsOfTheTopicThatWasMeant) {
  const auto topic = cluster.make_topic("replaced");
  must_publish(topic, numbered(0, 10));
  const auto uid = log().topic(topic)->uid;
  ASSERT_TRUE(log().read(uid, {}, Offset{4}, 1 << 20));
  cluster.replace(topic);
  const auto another = open();
  PublishRequest request;
  request.topic = topic;
  request.messages = numbered(100, 10);
  ASSERT_TRUE(publish(*another, std::move(request)));
  const auto read = log().read(uid, {}, Offset{4}, 1 << 20);
  ASSERT_FALSE(read) << read->batch->records.front().value.value_or("");
  EXPECT_EQ(read.error().code, ErrorCode::Conflict) << read.error().message;
}

TEST_F(KafkaLogTest, RecordsOutliveTheirReader) {
  const auto topic = cluster.make_topic("outlive");
  must_publish(topic, numbered(0, 3));
  const auto uid = log().topic(topic)->uid;
  RecordBatchRef kept;
  {
    News news;
    const auto reader = log().open_reader(uid, news.listener());
    while (!kept || kept->records.empty()) {
      const auto read = reader->read({}, Offset{0}, 1 << 20);
      ASSERT_TRUE(read) << read.error().message;
      kept = read->batch;
      if (kept->records.empty()) {
        ASSERT_TRUE(news.wait());
      }
    }
  }
  EXPECT_EQ(kept->records.front().value, "0");
  EXPECT_GT(kept->pinned_bytes, 0u);
}

TEST_F(KafkaLogTest, KeysGoWhereKafkasOwnClientPutsThem) {
  const auto topic = cluster.make_topic("keys", 7);
  for (const std::string key : {"a", "b", "customer-17", "", "21", "foobar"}) {
    const auto placed = must_publish(topic, {text("x", key)});
    ASSERT_EQ(placed.size(), 1u);
    EXPECT_EQ(placed[0].partition, partition_of(key, 7)) << key;
  }
}

TEST_F(KafkaLogTest, TopicsAreNeverMade) {
  const auto missing = log().topic("there-is-no-such-topic");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("Kafka's own tools"));
  EXPECT_EQ(log().create_topic("x", {}).error().code, ErrorCode::Unsupported);
}

TEST_F(KafkaLogTest, AnIdempotencyKeyIsRefused) {
  PublishRequest request;
  request.topic = cluster.make_topic("idempotent");
  request.messages = {text("x")};
  request.idempotency_key = "once";
  EXPECT_EQ(publish(request).error().code, ErrorCode::Unsupported);
}

TEST_F(KafkaLogTest, AMessageThatIsTooLargeSaysSo) {
  const auto topic = cluster.make_topic("large");
  const auto placed = publish(topic, {text(std::string(3 << 20, 'x'))});
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::TooLarge);
}

TEST_F(KafkaLogTest, ASettingThatTheLibraryRefusesIsNamed) {
  KafkaOptions options{"main", {{"bootstrap.servers", cluster.bootstrap()}, {"no.such.setting", "1"}}};
  const auto opened = KafkaLog::open(options, registry, logger);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("topics.clusters.main.kafka.no.such.setting"));
}

TEST_F(KafkaLogTest, ASettingThatThePromisesRestOnIsNotTakenFromTheUser) {
  for (const auto& [name, value] : {std::pair{"acks", "1"},
                                    {"request.required.acks", "0"},
                                    {"enable.auto.commit", "true"},
                                    {"auto.offset.reset", "earliest"},
                                    {"enable.idempotence", "false"}}) {
    KafkaOptions options{"main", {{"bootstrap.servers", cluster.bootstrap()}, {name, value}}};
    const auto opened = KafkaLog::open(options, registry, logger);
    ASSERT_FALSE(opened) << name;
    EXPECT_THAT(opened.error().message, HasSubstr(fmt::format("kafka.{}: must be", name)));
  }
  EXPECT_TRUE(
      KafkaLog::open({"main", {{"bootstrap.servers", cluster.bootstrap()}, {"acks", "all"}}}, registry, logger));
}

TEST_F(KafkaLogTest, AGroupIsToldHowFarItsTriggerIs) {
  const auto topic = cluster.make_topic("group");
  must_publish(topic, numbered(0, 10));
  const auto uid = log().topic(topic)->uid;
  const std::string group = "dhub.test-" + topic;
  log().note_cursors(uid, group, {{PartitionId{0}, Offset{7}}});
  std::vector<StartOffset> told;
  const Instant until = read_clocks().mono + std::chrono::seconds(20);
  while (told.empty() && read_clocks().mono < until) {
    const auto offsets = log().group_offsets(uid, group);
    // The first group that a broker hears of: it makes its own topic for them.
    if (!offsets && offsets.error().code == ErrorCode::Unavailable) continue;
    ASSERT_TRUE(offsets) << offsets.error().message;
    told = *offsets;
  }
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].offset, Offset{7});
}

// Real brokers answer with another name than was asked for, which the library does not survive.
TEST(KafkaLogAway, ANameOfAGroupThatIsNotTextIsRefusedBeforeAnybodyIsAsked) {
  FakeRegistry registry;
  Logger logger{LogFormat::Logfmt, LogLevel::Error, [](std::string_view) { return true; }};
  auto log = KafkaLog::open({"main", {{"bootstrap.servers", "127.0.0.1:1"}}}, registry, logger);
  ASSERT_TRUE(log);
  const auto uid = *registry.enlist("main", "orders", "id");
  for (const std::string& group : {std::string("\xff\xfe"), std::string("a\0b", 3), std::string("\xed\xa0\x80")}) {
    const auto offsets = (*log)->group_offsets(uid, group);
    ASSERT_FALSE(offsets);
    EXPECT_EQ(offsets.error().code, ErrorCode::InvalidArgument);
  }
}

TEST(KafkaLogAway, AClusterThatCannotBeReachedIsToldAndNothingBlocks) {
  FakeRegistry registry;
  Logger logger{LogFormat::Logfmt, LogLevel::Error, [](std::string_view) { return true; }};
  // A port that nobody listens on.
  auto log = KafkaLog::open({"main", {{"bootstrap.servers", "127.0.0.1:1"}}}, registry, logger);
  ASSERT_TRUE(log);
  const auto uid = *registry.enlist("main", "orders", "id");
  News news;
  const auto reader = (*log)->open_reader(uid, news.listener());
  EXPECT_EQ((*log)->topic(uid).error().code, ErrorCode::Unavailable);
  ASSERT_TRUE(news.wait());
  const auto read = reader->read({}, Offset{0}, 1024);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::Unavailable);
}

}  // namespace
}  // namespace dhub::kafka
