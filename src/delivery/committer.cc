// SPDX-License-Identifier: Apache-2.0
#include "delivery/committer.h"

#include <algorithm>

namespace dhub::delivery {
namespace {

constexpr Duration kFirstResend = milliseconds(50);
constexpr Duration kLongestResend = std::chrono::seconds(2);

}  // namespace

void Committer::number(JournalCommit& commit, const Now& now) {
  last_seq_ = CommitSeq{last_seq_.value + 1};
  commit.position = position_;
  commit.owner_epoch = epoch_;
  commit.pass = pass_;
  commit.seq = last_seq_;
  commit.at = now.wall;
  resend_delay_ = kFirstResend;
}

JournalCommitRef Committer::take_resend(const Now& now) {
  if (!under_way_ || !resend_at_ || *resend_at_ > now.mono) return nullptr;
  resend_at_.reset();
  return sent_;
}

Committer::Verdict Committer::answered(CommitSeq seq, const Result<CommitAnswer>& answer, const Now& now) {
  if (!under_way_ || last_seq_ != seq) return Verdict::Unknown;  // an answer that came twice
  if (answer) return Verdict::Stored;
  if (!retryable(answer.error().code)) return Verdict::Refused;
  resend_at_ = now.mono + resend_delay_;
  resend_delay_ = std::min(resend_delay_ * 2, kLongestResend);
  return Verdict::SendAgain;
}

Committer::Settled Committer::take_stored() {
  Settled settled{std::move(sent_), std::move(under_way_->marks), std::move(under_way_->failing)};
  under_way_.reset();
  resend_at_.reset();
  unstored_ -= static_cast<std::int64_t>(settled.marks.size() + settled.failing.size());
  return settled;
}

}  // namespace dhub::delivery
