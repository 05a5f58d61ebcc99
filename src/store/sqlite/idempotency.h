// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/topic.h"
#include "store/sqlite/sqlite.h"

// Keys of publish requests, remembered per topic for 24 hours.
namespace dhub::store {

// Tells requests with the same key apart: a digest of what they publish.
[[nodiscard]] std::string fingerprint_of(std::string_view encoded_messages);

// Where the first request with this key put its messages; none when it is new. Conflict when it published other ones.
[[nodiscard]] Result<std::optional<std::vector<Placement>>> recall_key(Connection& db, TopicUid topic,
                                                                       const std::string& key,
                                                                       std::string_view fingerprint, WallTime now);
struct RememberedKey {
  TopicUid topic{};
  std::string_view key;
  std::string_view fingerprint;
  const std::vector<Placement>& placements;
};
Status remember_key(Connection& db, const RememberedKey& remembered, WallTime now);

// Forgets old keys, at most a slice of them; true when there are more.
Result<bool> forget_old_keys(Connection& db, WallTime now);

}  // namespace dhub::store
