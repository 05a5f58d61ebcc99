// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "ports/event_log.h"
#include "ports/topic_registry.h"

namespace dhub::eventlog {

// The cluster that a topic's name means, empty for the embedded log. It need not be configured: what was accepted for a
// cluster waits for it.
[[nodiscard]] std::string cluster_of(const std::string& topic, const std::string& default_cluster);

// The embedded log and those of named clusters as one: "cluster/topic" is a topic of that cluster, "topic" one of the
// default cluster's. Each log sees and answers names without a cluster; whoever asks the router is answered the names
// as users write them. Keeps nothing but which cluster a uid is of. Thread-safe; each call waits as long as the one log
// that it goes to. What the logs refuse is answered as they say it.
class TopicRouter : public EventLog {
 public:
  using Clusters = std::map<std::string, EventLog*>;

  // `default_cluster`: "embedded", or one of the clusters. All of the logs outlive the router and its readers.
  TopicRouter(EventLog& embedded, Clusters clusters, std::string default_cluster, TopicRegistry& registry);

  [[nodiscard]] std::string cluster_of(const std::string& topic) const;
  // InvalidArgument, with what may be written, when the name means a cluster that is not configured.
  [[nodiscard]] Status check_cluster(const std::string& topic) const;

  // Without a log of that cluster: NotFound, with those there are.
  Result<Topic> create_topic(const std::string& name, const TopicSettings& settings) override;
  Result<Topic> ensure_topic(const std::string& name) override;
  Result<Topic> update_topic(const std::string& name, const TopicSettings& settings) override;
  Result<Topic> topic(const std::string& name) const override;
  Status delete_topic(const std::string& name) override;
  void publish(PublishRequest request, PublishDone done) override;

  // All of them, by name; those of a cluster that cannot be asked are left out.
  Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const override;

  // Unavailable when the topic's cluster is not configured any more: what has been read of it still counts.
  Result<Topic> topic(TopicUid uid) const override;
  Result<ReadResult> read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const override;
  [[nodiscard]] std::unique_ptr<TopicReader> open_reader(TopicUid topic, OnNews on_news) override;
  void note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) override;
  Result<std::vector<StartOffset>> group_offsets(TopicUid topic, const std::string& group) const override;

 private:
  // One of the logs, and the cluster that it is of; empty: the embedded one.
  struct Home {
    EventLog* log = nullptr;
    std::string cluster;
  };
  struct Place {
    Home home;
    std::string topic;  // without its cluster
  };

  [[nodiscard]] Result<Place> find(const std::string& name) const;
  [[nodiscard]] Result<Home> find(TopicUid uid) const;
  [[nodiscard]] Result<Home> look_up(TopicUid uid) const;
  [[nodiscard]] bool is_default(const std::string& cluster) const;
  // What stands before the names of its topics: "" or "cluster/".
  [[nodiscard]] std::string prefix(const std::string& cluster) const;
  [[nodiscard]] Topic named(Topic topic, const std::string& cluster) const;
  [[nodiscard]] Result<Topic> named(Result<Topic> topic, const std::string& cluster) const;
  [[nodiscard]] Result<std::vector<Topic>> page(const Home& home, const std::string& after, std::size_t limit) const;
  [[nodiscard]] std::string unknown(const std::string& cluster) const;

  EventLog& embedded_;
  const Clusters clusters_;
  const std::string default_cluster_;  // empty: the embedded log
  TopicRegistry& registry_;
  // Asked for every read, and a uid never changes its meaning.
  mutable Guarded<std::unordered_map<TopicUid, Home>> homes_;
};

}  // namespace dhub::eventlog
