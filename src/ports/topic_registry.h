// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "model/ids.h"

namespace dhub {

// A topic of another system, as one incarnation of it: deleted and made again, it is another one.
struct ForeignTopic {
  TopicUid uid{};
  std::string cluster;
  std::string name;      // without its cluster
  std::string identity;  // what that system tells its incarnations apart by; empty when it does not
};

// Gives uids to the topics of other systems, from the same numbers as the store's own. Thread-safe.
class TopicRegistry {
 public:
  virtual ~TopicRegistry() = default;

  // The uid of this cluster, name and identity, given now when it is new; durable when it returns.
  virtual Result<TopicUid> enlist(const std::string& cluster, const std::string& name, const std::string& identity) = 0;
  // NotFound for the store's own topics too.
  virtual Result<ForeignTopic> foreign_topic(TopicUid uid) const = 0;
};

}  // namespace dhub
