// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/run.h"

namespace dhub {

struct RunFilter {
  std::optional<OutcomeKind> kind;
  std::optional<std::string> key;
  std::optional<std::string> error_text;  // somewhere in the error, case-sensitive
  std::optional<PartitionId> partition;
  std::optional<Offset> offset;
  std::int64_t before = 0;  // rows below this sequence number; 0 = from the newest
  std::size_t limit = 50;
};

struct ArchivedAttempt {
  std::int64_t sequence = 0;  // rises with arrival; pages run over it
  AttemptDetail detail;
};

// Run details: what each attempt did and said. Within a budget by size and age; may lose its last second in a crash:
// detail is not truth. Thread-safe.
class RunArchive {
 public:
  virtual ~RunArchive() = default;

  // Never blocks; drops (and counts) when its queue is full.
  virtual void append(std::vector<AttemptDetail> attempts) = 0;
  // Newest first. What was appended before is seen at the latest a second later, or after flush().
  virtual Result<std::vector<ArchivedAttempt>> attempts(const std::vector<PositionUid>& positions,
                                                        const RunFilter& filter) const = 0;
  // All attempts of one run, first to last.
  virtual Result<std::vector<ArchivedAttempt>> run(PositionUid position, const RunId& run) const = 0;
  virtual void flush() = 0;
};

}  // namespace dhub
