// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/time.h"
#include "delivery/lanes.h"
#include "ports/journal.h"

namespace dhub::delivery {

// Speaks with the journal: one commit under way at a time, numbered; what happens meanwhile gathers for the next.
// SameBatch: a number, once sent, keeps its content until it is answered, also after a refusal.
class Committer {
 public:
  struct Mark {
    Ref ref;
    FinalState state = FinalState::None;
  };
  // What one commit settles when it is stored.
  struct Bundle {
    JournalCommit commit;
    std::vector<Mark> marks;
    std::vector<Ref> failing;
    [[nodiscard]] bool empty() const { return marks.empty() && failing.empty(); }
  };

  Committer(PositionUid position, OwnerEpoch epoch, Pass pass) : position_(position), epoch_(epoch), pass_(pass) {}

  [[nodiscard]] OwnerEpoch epoch() const { return epoch_; }
  [[nodiscard]] Pass pass() const { return pass_; }
  [[nodiscard]] PositionUid position() const { return position_; }

  // Gathers.
  void mark(const Ref& ref, FinalState state) {
    pending_.marks.push_back({ref, state});
    ++unstored_;
  }
  void mark_failing(const Ref& ref, StoredFailure row) {
    pending_.commit.failures.push_back(std::move(row));
    pending_.failing.push_back(ref);
    ++unstored_;
  }
  [[nodiscard]] JournalCommit& pending() { return pending_.commit; }
  [[nodiscard]] bool has_pending() const { return !pending_.empty(); }
  // Outcomes that were received and are not stored.
  [[nodiscard]] std::int64_t unstored() const { return unstored_; }

  [[nodiscard]] bool is_under_way() const { return under_way_.has_value(); }
  [[nodiscard]] std::optional<Instant> resend_at() const { return resend_at_; }
  // The one under way again, when its time has come.
  JournalCommitRef take_resend(const Now& now);
  // Closes what has gathered: it is under way from now on. `fill` completes the commit, and sees its marks.
  template <typename Fill>
  JournalCommitRef close(const Now& now, Fill&& fill) {
    Bundle& bundle = under_way_.emplace(std::exchange(pending_, Bundle{}));
    number(bundle.commit, now);
    fill(bundle);
    sent_ = std::make_shared<const JournalCommit>(std::move(bundle.commit));
    return sent_;
  }

  enum class Verdict { Stored, SendAgain, Refused, Unknown };
  Verdict answered(CommitSeq seq, const Result<CommitAnswer>& answer, const Now& now);
  // After Stored: what is settled by it.
  struct Settled {
    JournalCommitRef commit;
    std::vector<Mark> marks;
    std::vector<Ref> failing;
  };
  Settled take_stored();

 private:
  void number(JournalCommit& commit, const Now& now);

  const PositionUid position_;
  const OwnerEpoch epoch_;
  const Pass pass_;
  CommitSeq last_seq_{};
  Bundle pending_;
  std::optional<Bundle> under_way_;
  JournalCommitRef sent_;  // content of the one under way
  std::optional<Instant> resend_at_;
  Duration resend_delay_{};
  std::int64_t unstored_ = 0;
};

}  // namespace dhub::delivery
