// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "model/topic.h"
#include "ports/topic_registry.h"
#include "tests/simulation/sim_disk.h"

namespace dhub::simulation {

// Topics of other systems on a simulated disk.
class SimTopicRegistry final : public TopicRegistry {
 public:
  explicit SimTopicRegistry(SimDisk& disk) : disk_(disk) {}

  Result<TopicUid> enlist(const std::string& cluster, const std::string& name, const std::string& identity) override {
    if (cluster.empty() || cluster == kEmbeddedCluster)
      return fail(ErrorCode::InvalidArgument, "An embedded topic needs no entry.");
    RETURN_IF_ERROR(parse_topic_name(cluster + "/" + name));
    disk_.settle();
    for (const auto& [uid, topic] : disk_.foreign_topics)
      if (topic.cluster == cluster && topic.name == name && topic.identity == identity) return uid;
    const TopicUid uid{disk_.next_uid()};
    disk_.foreign_topics[uid] = {uid, cluster, name, identity};
    return uid;
  }
  Result<ForeignTopic> foreign_topic(TopicUid uid) const override {
    const auto found = disk_.foreign_topics.find(uid);
    if (found == disk_.foreign_topics.end()) return fail(ErrorCode::NotFound, "There is no such foreign topic.");
    return found->second;
  }

 private:
  SimDisk& disk_;
};

}  // namespace dhub::simulation
