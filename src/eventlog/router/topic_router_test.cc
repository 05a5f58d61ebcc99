// SPDX-License-Identifier: Apache-2.0
#include "eventlog/router/topic_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dhub::eventlog {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

// A log of topics that are just names; says what it was asked.
class FakeLog : public EventLog {
 public:
  std::map<std::string, TopicUid> stored;
  std::optional<Error> down;
  mutable std::vector<std::string> calls;

  void add(const std::string& name, std::int64_t uid) { stored[name] = TopicUid{uid}; }

  Result<Topic> create_topic(const std::string& name, const TopicSettings&) override { return asked("create", name); }
  Result<Topic> ensure_topic(const std::string& name) override { return asked("ensure", name); }
  Result<Topic> update_topic(const std::string& name, const TopicSettings&) override { return asked("update", name); }
  Result<Topic> topic(const std::string& name) const override { return asked("topic", name); }
  Result<Topic> topic(TopicUid uid) const override {
    calls.push_back("uid");
    for (const auto& [name, one] : stored)
      if (one == uid) return made(name);
    return fail(ErrorCode::NotFound, "There is no such topic.");
  }
  Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const override {
    if (down) return fail(*down);
    std::vector<Topic> page;
    for (const auto& [name, uid] : stored)
      if (name > after && page.size() < limit) page.push_back(made(name));
    return page;
  }
  Status delete_topic(const std::string& name) override {
    calls.push_back("delete " + name);
    return {};
  }
  void publish(PublishRequest request, PublishDone done) override {
    calls.push_back("publish " + request.topic);
    done(std::vector<Placement>{{PartitionId{3}, Offset{4}}});
  }
  Result<ReadResult> read(TopicUid, PartitionId, Offset from, std::size_t) const override {
    calls.push_back("read");
    return ReadResult{std::make_shared<RecordBatch>(), from, true};
  }
  std::unique_ptr<TopicReader> open_reader(TopicUid, OnNews) override {
    calls.push_back("open");
    return nullptr;
  }
  void note_cursors(TopicUid, const std::string& group, const std::vector<StartOffset>&) override {
    calls.push_back("note " + group);
  }
  Result<std::vector<StartOffset>> group_offsets(TopicUid, const std::string& group) const override {
    calls.push_back("group " + group);
    return std::vector<StartOffset>{};
  }

 private:
  [[nodiscard]] Topic made(const std::string& name) const {
    Topic topic;
    topic.uid = stored.at(name);
    topic.name = name;
    return topic;
  }
  Result<Topic> asked(const std::string& call, const std::string& name) const {
    calls.push_back(call + ' ' + name);
    if (down) return fail(*down);
    if (stored.contains(name)) return made(name);
    return fail(ErrorCode::NotFound, "There is no such topic.");
  }
};

class FakeRegistry : public TopicRegistry {
 public:
  std::map<TopicUid, ForeignTopic> known;
  mutable int asked = 0;

  Result<TopicUid> enlist(const std::string&, const std::string&, const std::string&) override {
    return fail(ErrorCode::Internal, "not used here");
  }
  Result<ForeignTopic> foreign_topic(TopicUid uid) const override {
    ++asked;
    const auto found = known.find(uid);
    if (found == known.end()) return fail(ErrorCode::NotFound, "It is not of another system.");
    return found->second;
  }
};

class TopicRouterTest : public testing::Test {
 protected:
  TopicRouterTest() {
    embedded_.add("a", 1);
    embedded_.add("m", 2);
    main_.add("a", 11);
    main_.add("orders", 12);
    other_.add("b", 21);
    for (const auto& [uid, cluster, name] :
         {std::tuple{11, "main", "a"}, {12, "main", "orders"}, {21, "other", "b"}, {31, "gone", "x"}})
      registry_.known[TopicUid{uid}] = {TopicUid{uid}, cluster, name, {}};
  }
  TopicRouter router(const std::string& default_cluster) {
    return TopicRouter(embedded_, {{"main", &main_}, {"other", &other_}}, default_cluster, registry_);
  }
  static std::vector<std::string> names(const Result<std::vector<Topic>>& topics) {
    std::vector<std::string> found;
    if (!topics) return {topics.error().message};
    for (const Topic& topic : *topics) found.push_back(topic.name);
    return found;
  }

  FakeLog embedded_, main_, other_;
  FakeRegistry registry_;
};

TEST_F(TopicRouterTest, APlainNameIsOfTheDefaultCluster) {
  const auto by_default = router("embedded");
  EXPECT_EQ(by_default.topic("a")->uid, TopicUid{1});
  EXPECT_EQ(by_default.topic("embedded/a")->name, "a");
  EXPECT_EQ(by_default.topic("main/a")->uid, TopicUid{11});
  EXPECT_EQ(by_default.topic("main/a")->name, "main/a");
  EXPECT_EQ(by_default.topic("main/a")->cluster, "main");
  EXPECT_EQ(by_default.topic("a")->cluster, "");
  const auto of_main = router("main");
  EXPECT_EQ(of_main.topic("a")->uid, TopicUid{11});
  EXPECT_EQ(of_main.topic("a")->name, "a");
  EXPECT_EQ(of_main.topic("main/a")->name, "a");
  EXPECT_EQ(of_main.topic("embedded/a")->name, "embedded/a");
  EXPECT_EQ(of_main.topic("other/b")->name, "other/b");
  EXPECT_THAT(main_.calls, Each("topic a"));
}

TEST_F(TopicRouterTest, AnUnknownClusterIsNotFoundAndToldWhatThereIs) {
  auto log = router("main");
  const auto found = log.topic("mian/a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::NotFound);
  EXPECT_EQ(found.error().message, "There is no cluster 'mian'; did you mean 'main'?");
  EXPECT_THAT(log.topic("zzzzz/a").error().message, HasSubstr("known are: embedded, main, other"));
  EXPECT_EQ(log.topic("a/b/c").error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(log.delete_topic("zzzzz/a").error().code, ErrorCode::NotFound);
}

TEST_F(TopicRouterTest, EachCallGoesToItsLogWithoutTheCluster) {
  auto log = router("embedded");
  EXPECT_EQ(log.create_topic("main/orders", {})->name, "main/orders");
  EXPECT_EQ(log.ensure_topic("main/orders")->name, "main/orders");
  EXPECT_EQ(log.update_topic("main/orders", {})->name, "main/orders");
  EXPECT_TRUE(log.delete_topic("main/orders"));
  EXPECT_THAT(main_.calls, ElementsAre("create orders", "ensure orders", "update orders", "delete orders"));
  EXPECT_TRUE(embedded_.calls.empty());
  main_.down = Error{ErrorCode::Unsupported, "Made with its own tools.", {}};
  EXPECT_EQ(log.create_topic("main/new", {}).error().message, "Made with its own tools.");
}

TEST_F(TopicRouterTest, PublishesWhereTheNameSays) {
  auto log = router("main");
  std::vector<ErrorCode> failures;
  int answers = 0;
  for (const char* topic : {"orders", "embedded/m", "other/new", "nowhere/x"}) {
    PublishRequest request;
    request.topic = topic;
    log.publish(std::move(request), [&](const Result<std::vector<Placement>>& placed) {
      ++answers;
      if (!placed) failures.push_back(placed.error().code);
    });
  }
  EXPECT_EQ(answers, 4);
  EXPECT_THAT(failures, ElementsAre(ErrorCode::NotFound));
  EXPECT_THAT(main_.calls, ElementsAre("publish orders"));
  EXPECT_THAT(embedded_.calls, ElementsAre("publish m"));
  EXPECT_THAT(other_.calls, ElementsAre("publish new"));
}

TEST_F(TopicRouterTest, ListsAllByName) {
  EXPECT_THAT(names(router("embedded").topics("", 10)), ElementsAre("a", "m", "main/a", "main/orders", "other/b"));
  EXPECT_THAT(names(router("main").topics("", 10)), ElementsAre("a", "embedded/a", "embedded/m", "orders", "other/b"));
}

TEST_F(TopicRouterTest, PagesSeeEachTopicOnce) {
  for (const char* cluster : {"embedded", "main", "other"}) {
    const auto log = router(cluster);
    const auto all = names(log.topics("", 10));
    for (const std::size_t limit : {1U, 2U, 3U}) {
      std::vector<std::string> seen;
      for (std::string after;;) {
        const auto page = names(log.topics(after, limit));
        if (page.empty()) break;
        ASSERT_LT(seen.size(), all.size()) << "it would never end";
        seen.insert(seen.end(), page.begin(), page.end());
        after = page.back();
      }
      EXPECT_EQ(seen, all) << cluster << ' ' << limit;
    }
  }
}

TEST_F(TopicRouterTest, AListGoesWithoutAClusterThatIsDown) {
  main_.down = Error{ErrorCode::Unavailable, "The brokers cannot be reached.", {}};
  EXPECT_THAT(names(router("embedded").topics("", 10)), ElementsAre("a", "m", "other/b"));
  embedded_.down = Error{ErrorCode::Cancelled, "The server is stopping.", {}};
  EXPECT_FALSE(router("embedded").topics("", 10)) << "ours is not left out without a word";
}

TEST_F(TopicRouterTest, AUidLeadsToItsLogAndIsAskedForOnce) {
  auto log = router("embedded");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(log.read(TopicUid{12}, PartitionId{0}, Offset{0}, 1));
    EXPECT_TRUE(log.read(TopicUid{1}, PartitionId{0}, Offset{0}, 1));
  }
  EXPECT_EQ(registry_.asked, 2);
  EXPECT_EQ(log.topic(TopicUid{12})->name, "main/orders");
  EXPECT_EQ(router("main").topic(TopicUid{12})->name, "orders");
  EXPECT_EQ(router("main").topic(TopicUid{1})->name, "embedded/a");
  (void)log.open_reader(TopicUid{21}, [](auto) {});
  log.note_cursors(TopicUid{21}, "g", {});
  EXPECT_TRUE(log.group_offsets(TopicUid{21}, "g"));
  EXPECT_THAT(other_.calls, ElementsAre("open", "note g", "group g"));
}

TEST_F(TopicRouterTest, AUidThatIsNobodysYetIsNotRemembered) {
  auto log = router("embedded");
  EXPECT_EQ(log.topic(TopicUid{13}).error().code, ErrorCode::NotFound);
  main_.add("late", 13);
  registry_.known[TopicUid{13}] = {TopicUid{13}, "main", "late", {}};
  EXPECT_EQ(log.topic(TopicUid{13})->name, "main/late");
}

TEST_F(TopicRouterTest, WithoutItsClusterATopicIsUnavailable) {
  auto log = router("embedded");
  EXPECT_EQ(log.topic(TopicUid{31}).error().code, ErrorCode::Unavailable);
  EXPECT_THAT(log.topic(TopicUid{31}).error().message, HasSubstr("'gone'"));
  const auto reader = log.open_reader(TopicUid{31}, [](auto) {});
  ASSERT_NE(reader, nullptr);
  EXPECT_EQ(reader->read(PartitionId{0}, Offset{0}, 1).error().code, ErrorCode::Unavailable);
  log.note_cursors(TopicUid{31}, "g", {});
}

TEST_F(TopicRouterTest, TellsTheClusterOfAName) {
  const auto log = router("main");
  EXPECT_EQ(log.cluster_of("x"), "main");
  EXPECT_EQ(log.cluster_of("embedded/x"), "");
  EXPECT_EQ(log.cluster_of("other/x"), "other");
  EXPECT_EQ(router("embedded").cluster_of("x"), "");
  EXPECT_TRUE(log.check_cluster("x"));
  EXPECT_TRUE(log.check_cluster("embedded/x"));
  EXPECT_EQ(log.check_cluster("nowhere/x").error().code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace dhub::eventlog
