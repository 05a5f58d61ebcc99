// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/topic.h"
#include "store/sqlite/sqlite.h"

// Rows of topics and partitions. Reads work on any connection, changes on the writer's, inside its transaction.
namespace dhub::store {

// These know the store's own topics only: topic_registry.h has the others.
[[nodiscard]] Result<Topic> find_topic(Connection& db, const std::string& name);
[[nodiscard]] Result<Topic> find_topic(Connection& db, TopicUid uid);
[[nodiscard]] Result<std::vector<Topic>> list_topics(Connection& db, const std::string& after, std::size_t limit);

// InvalidArgument for a bad name or settings; AlreadyExists.
Result<Topic> insert_topic(Connection& db, const std::string& name, const TopicSettings& settings, WallTime now);
Result<Topic> update_topic(Connection& db, const std::string& name, const TopicSettings& settings);
// Takes the name away at once; clean-up removes the messages in slices. Conflict while a trigger is bound to it.
Status mark_topic_deleted(Connection& db, const std::string& name, WallTime now);

}  // namespace dhub::store
