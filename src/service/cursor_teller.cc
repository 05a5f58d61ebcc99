// SPDX-License-Identifier: Apache-2.0
#include "service/cursor_teller.h"

#include <algorithm>
#include <utility>

namespace dhub::service {
namespace {

constexpr Duration kTellCursors = std::chrono::seconds(1);

}  // namespace

void CursorTeller::stored(PartitionId partition, Offset cursor, Instant now) {
  if (!has_others_) return;
  untold_[partition] = cursor;
  if (!tell_at_) tell_at_ = told_at_ ? std::max(now, *told_at_ + kTellCursors) : now;
}

void CursorTeller::tell(Instant now) {
  tell_at_.reset();
  if (untold_.empty()) return;
  told_at_ = now;
  std::vector<StartOffset> cursors;
  for (const auto& [partition, cursor] : std::exchange(untold_, {})) cursors.push_back({partition, cursor});
  log_.note_cursors(topic_, group_, cursors);
}

}  // namespace dhub::service
