// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "ports/topic_registry.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// Topics of other systems as rows among the store's own, so that one uid never means two of them.
class StoreTopicRegistry : public TopicRegistry {
 public:
  StoreTopicRegistry(Writer& writer, Readers& readers) : writer_(writer), readers_(readers) {}

  // InvalidArgument when cluster or name cannot be one, or the cluster is the store itself.
  Result<TopicUid> enlist(const std::string& cluster, const std::string& name, const std::string& identity) override;
  Result<ForeignTopic> foreign_topic(TopicUid uid) const override;

 private:
  Writer& writer_;
  Readers& readers_;
};

// The same on any connection.
[[nodiscard]] Result<ForeignTopic> find_foreign_topic(Connection& db, TopicUid uid);

}  // namespace dhub::store
