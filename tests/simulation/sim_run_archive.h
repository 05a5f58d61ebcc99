// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "ports/run_archive.h"

namespace dhub::simulation {

// Run details in memory; the newest `kKept` of them.
class SimRunArchive final : public RunArchive {
 public:
  static constexpr std::size_t kKept = 100'000;

  void append(std::vector<AttemptDetail> attempts) override {
    for (auto& detail : attempts) rows_.push_back({++last_, std::move(detail)});
    if (rows_.size() > kKept) rows_.erase(rows_.begin(), rows_.end() - kKept);
  }
  Result<std::vector<ArchivedAttempt>> attempts(const std::vector<PositionUid>& positions,
                                                const RunFilter& filter) const override {
    std::vector<ArchivedAttempt> answer;
    for (auto row = rows_.rbegin(); row != rows_.rend() && answer.size() < filter.limit; ++row)
      if (std::find(positions.begin(), positions.end(), row->detail.position) != positions.end() &&
          matches(*row, filter))
        answer.push_back(*row);
    return answer;
  }
  Result<std::vector<ArchivedAttempt>> run(PositionUid position, const RunId& run) const override {
    std::vector<ArchivedAttempt> answer;
    for (const auto& row : rows_)
      if (row.detail.position == position && row.detail.run == run) answer.push_back(row);
    return answer;
  }
  void flush() override {}

 private:
  static bool matches(const ArchivedAttempt& row, const RunFilter& filter) {
    const AttemptDetail& detail = row.detail;
    return (filter.before == 0 || row.sequence < filter.before) && (!filter.kind || detail.kind == *filter.kind) &&
           (!filter.key || detail.key == *filter.key) &&
           (!filter.error_text || detail.error.find(*filter.error_text) != std::string::npos) &&
           (!filter.partition || detail.run.partition == *filter.partition) &&
           (!filter.offset || detail.run.offset == *filter.offset);
  }

  std::vector<ArchivedAttempt> rows_;
  std::int64_t last_ = 0;
};

}  // namespace dhub::simulation
