// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/conformance/harness.h"

namespace dhub::conformance {

class TopicRegistryConformance : public Suite {
 protected:
  TopicUid enlist(const std::string& cluster, const std::string& name, const std::string& identity) {
    const auto uid = registry().enlist(cluster, name, identity);
    EXPECT_TRUE(uid) << (uid ? "" : uid.error().message);
    return uid.value_or(TopicUid{});
  }
};

TEST_P(TopicRegistryConformance, ATopicKeepsItsUidAlsoAcrossARestart) {
  const TopicUid uid = enlist("kafka", "orders", "id-1");
  EXPECT_EQ(enlist("kafka", "orders", "id-1"), uid);
  harness().reopen();
  EXPECT_EQ(enlist("kafka", "orders", "id-1"), uid);
  const auto found = registry().foreign_topic(uid);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->uid, uid);
  EXPECT_EQ(found->cluster, "kafka");
  EXPECT_EQ(found->name, "orders");
  EXPECT_EQ(found->identity, "id-1");
}

TEST_P(TopicRegistryConformance, AnotherClusterNameOrIncarnationIsAnotherTopic) {
  const TopicUid first = enlist("kafka", "orders", "id-1");
  EXPECT_NE(enlist("kafka", "orders", "id-2"), first);
  EXPECT_NE(enlist("kafka", "orders", ""), first);
  EXPECT_NE(enlist("kafka", "invoices", "id-1"), first);
  EXPECT_NE(enlist("other", "orders", "id-1"), first);
  EXPECT_EQ(enlist("kafka", "orders", "id-1"), first);
}

TEST_P(TopicRegistryConformance, UidsAreNeverThoseOfTheStoresOwnTopics) {
  const TopicUid before = log().ensure_topic("orders")->uid;
  const TopicUid foreign = enlist("kafka", "orders", "");
  const TopicUid after = log().ensure_topic("invoices")->uid;
  EXPECT_NE(foreign, before);
  EXPECT_NE(foreign, after);
  EXPECT_EQ(code_of(registry().foreign_topic(before)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(registry().foreign_topic(TopicUid{4711})), ErrorCode::NotFound);
}

TEST_P(TopicRegistryConformance, TheStoresOwnTopicsAndWhatIsNoNameAreRefused) {
  EXPECT_EQ(code_of(registry().enlist("", "orders", "")), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(registry().enlist(kEmbeddedCluster, "orders", "")), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(registry().enlist("kafka", "", "")), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(registry().enlist("Kafka!", "orders", "")), ErrorCode::InvalidArgument);
}

TEST_P(TopicRegistryConformance, TheEventLogDoesNotKnowForeignTopics) {
  const TopicUid uid = enlist("kafka", "orders", "");
  EXPECT_EQ(code_of(log().topic("orders")), ErrorCode::NotFound);
  EXPECT_EQ(code_of(log().topic(uid)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(log().read(uid, {}, {}, 1024)), ErrorCode::NotFound);
  EXPECT_FALSE(log().delete_topic("orders"));
  EXPECT_TRUE(log().topics("", 10)->empty());
  PublishRequest request = to_topic("orders", {text("x")});
  request.create_topic = false;
  EXPECT_EQ(code_of(publish(log(), request)), ErrorCode::NotFound);
  // A topic of that name is the store's own, and deleting it leaves the other.
  EXPECT_NE(log().create_topic("orders", {})->uid, uid);
  EXPECT_TRUE(log().delete_topic("orders"));
  EXPECT_EQ(enlist("kafka", "orders", ""), uid);
}

}  // namespace dhub::conformance
