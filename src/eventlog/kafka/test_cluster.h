// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/environment.h"
#include "base/random.h"
#include "eventlog/kafka/kafka_log.h"

namespace dhub::kafka {

// Uids in memory.
class FakeRegistry final : public TopicRegistry {
 public:
  Result<TopicUid> enlist(const std::string& cluster, const std::string& name, const std::string& identity) override {
    std::lock_guard lock(mutex_);
    for (const auto& topic : topics_)
      if (topic.cluster == cluster && topic.name == name && topic.identity == identity) return topic.uid;
    topics_.push_back({TopicUid{static_cast<std::int64_t>(topics_.size() + 1)}, cluster, name, identity});
    return topics_.back().uid;
  }
  Result<ForeignTopic> foreign_topic(TopicUid uid) const override {
    std::lock_guard lock(mutex_);
    for (const auto& topic : topics_)
      if (topic.uid == uid) return topic;
    return fail(ErrorCode::NotFound, "There is no such topic.");
  }

 private:
  mutable std::mutex mutex_;
  std::vector<ForeignTopic> topics_;
};

// A cluster for tests: the real one that DHUB_TEST_KAFKA names (host:port), else librdkafka's mock inside this process.
class TestCluster {
 public:
  explicit TestCluster(int mock_brokers = 1) {
    if (const char* given = std::getenv("DHUB_TEST_KAFKA")) bootstrap_ = given;
    std::array<char, 256> why{};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    if (is_mock())
      rd_kafka_conf_set(conf, "test.mock.num.brokers", std::to_string(mock_brokers).c_str(), why.data(), why.size());
    else
      rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap_.c_str(), why.data(), why.size());
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    if (!is_mock()) return;
    mock_ = rd_kafka_handle_mock_cluster(rk_);
    mock_bootstrap_ = rd_kafka_mock_cluster_bootstraps(mock_);
  }
  ~TestCluster() { rd_kafka_destroy(rk_); }
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  [[nodiscard]] bool is_mock() const { return bootstrap_.empty(); }
  [[nodiscard]] const std::string& bootstrap() const { return is_mock() ? mock_bootstrap_ : bootstrap_; }
  [[nodiscard]] rd_kafka_mock_cluster_t* mock() const { return mock_; }

  // A topic of its own for each call, whose name begins with `name`.
  std::string make_topic(const std::string& name, int partitions = 1) {
    const std::string unique = name + "-" + std::to_string(fresh_seed());
    create(unique, partitions);
    return unique;
  }

  // Keeps what it is given, however old its timestamps say that it is.
  void create(const std::string& name, int partitions) {
    if (is_mock()) {
      rd_kafka_mock_topic_create(mock_, name.c_str(), partitions, 1);
      return;
    }
    std::array<char, 256> why{};
    rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name.c_str(), partitions, 1, why.data(), why.size());
    rd_kafka_NewTopic_set_config(topic, "retention.ms", "-1");
    rd_kafka_queue_t* queue = rd_kafka_queue_new(rk_);
    rd_kafka_CreateTopics(rk_, &topic, 1, nullptr, queue);
    await_done(queue);
    rd_kafka_NewTopic_destroy(topic);
    EXPECT_TRUE(is_seen(name)) << name;
  }

  // Of a real cluster only: another topic that has the name.
  void replace(const std::string& name) {
    rd_kafka_DeleteTopic_t* topic = rd_kafka_DeleteTopic_new(name.c_str());
    rd_kafka_queue_t* queue = rd_kafka_queue_new(rk_);
    rd_kafka_DeleteTopics(rk_, &topic, 1, nullptr, queue);
    await_done(queue);
    rd_kafka_DeleteTopic_destroy(topic);
    create(name, 1);
  }

 private:
  static void await_done(rd_kafka_queue_t* queue) {
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 10'000);
    EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
  }

  // A broker answers that a topic is made before it knows of it itself.
  bool is_seen(const std::string& name) {
    rd_kafka_topic_t* topic = rd_kafka_topic_new(rk_, name.c_str(), nullptr);
    const Instant until = read_clocks().mono + std::chrono::seconds(20);
    bool seen = false;
    while (!seen && read_clocks().mono < until) {
      const rd_kafka_metadata_t* metadata = nullptr;
      if (rd_kafka_metadata(rk_, 0, topic, &metadata, 5'000) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
      seen = metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
      for (int i = 0; seen && i < metadata->topics[0].partition_cnt; ++i)
        seen = metadata->topics[0].partitions[i].leader >= 0;
      rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return seen;
  }

  std::string bootstrap_;
  std::string mock_bootstrap_;
  rd_kafka_t* rk_ = nullptr;
  rd_kafka_mock_cluster_t* mock_ = nullptr;
};

// Counts news, and waits for more of them.
class News {
 public:
  // Of feeds, and of readers, which say which partition has news.
  auto listener() {
    return [this](std::optional<PartitionId> partition = std::nullopt) {
      std::lock_guard lock(mutex_);
      ++count_;
      partitions_.insert(partition);
      changed_.notify_all();
    };
  }
  // Whether there was news that was not waited for yet, within 20 s.
  bool wait() {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, std::chrono::seconds(20), [&] { return count_ > seen_; });
    seen_ = count_;
    return came;
  }

  // What it was about since this was last asked.
  std::set<std::optional<PartitionId>> partitions() {
    std::lock_guard lock(mutex_);
    return std::exchange(partitions_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::optional<PartitionId>> partitions_;
  int count_ = 0;
  int seen_ = 0;
};

}  // namespace dhub::kafka
