// SPDX-License-Identifier: Apache-2.0
// The part of the engine that speaks with the journal: one commit under way at a time, what happens meanwhile gathers.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "delivery/engine.h"

namespace dhub::delivery {
namespace {

constexpr Duration kFirstResend = milliseconds(50);
constexpr Duration kLongestResend = std::chrono::seconds(2);

std::vector<FinishedRange> ranges_of(std::vector<FinishedRange> singles) {
  const auto before = [](const FinishedRange& a, const FinishedRange& b) {
    return std::pair(a.partition, a.first) < std::pair(b.partition, b.first);
  };
  if (!std::is_sorted(singles.begin(), singles.end(), before)) std::sort(singles.begin(), singles.end(), before);
  std::vector<FinishedRange> ranges;
  for (const auto& single : singles) {
    const bool joins = !ranges.empty() && ranges.back().partition == single.partition &&
                       ranges.back().state == single.state &&
                       ranges.back().first.value + ranges.back().count == single.first.value;
    if (joins) {
      ++ranges.back().count;
    } else {
      ranges.push_back(single);
    }
  }
  return ranges;
}

}  // namespace

void Engine::emit_commit(const Now& now, Outputs& out) {
  if (under_way_) {
    // SameBatch: a number, once sent, keeps its content until it is answered, also after a refusal.
    if (resend_at_ && *resend_at_ <= now.mono) {
      resend_at_.reset();
      out.commit = under_way_->commit;
    }
    return;
  }
  if (pending_.empty() && !wants_reservation()) return;
  under_way_ = std::move(pending_);
  pending_ = Bundle{};
  fill_commit(*under_way_, now);
  resend_delay_ = kFirstResend;
  out.commit = under_way_->commit;
}

bool Engine::wants_reservation() const {
  if (settings_.current.step_names.empty()) return false;
  for (const auto& window : windows_)
    if (window.frontier + settings_.limits.reserve_step / 2 > window.reserve_asked) return true;
  return false;
}

void Engine::fill_commit(Bundle& bundle, const Now& now) {
  JournalCommit& commit = bundle.commit;
  last_seq_ = CommitSeq{last_seq_.value + 1};
  commit.position = position_;
  commit.owner_epoch = epoch_;
  commit.pass = pass_;
  commit.seq = last_seq_;
  commit.at = now.wall;
  std::vector<FinishedRange> singles;
  singles.reserve(bundle.marks.size());
  for (const auto& mark : bundle.marks) {
    entry(mark.ref).in_commit = true;
    singles.push_back({windows_[mark.ref.window].id(), mark.ref.offset, 1, mark.state});
  }
  commit.finished = ranges_of(std::move(singles));
  for (auto& window : windows_) {
    const bool runs_low = window.frontier + settings_.limits.reserve_step / 2 > window.reserve_asked;
    if (runs_low && !settings_.current.step_names.empty())
      window.reserve_asked = window.frontier + settings_.limits.reserve_step;
    commit.partitions.push_back({window.id(), window.cursor_with_commit(), Offset{window.reserve_asked}});
  }
}

void Engine::commit_answered(CommitSeq seq, const Result<CommitAnswer>& answer, const Now& now, Outputs& out) {
  if (!under_way_ || under_way_->commit.seq != seq) return;  // an answer that came twice
  if (answer) {
    settle_stored(now);
    pump(now, out);
    return;
  }
  if (retryable(answer.error().code)) {
    resend_at_ = now.mono + resend_delay_;
    resend_delay_ = std::min(resend_delay_ * 2, kLongestResend);
    return;
  }
  // FenceOn: somebody else owns the position now. Anything else means that journal and engine disagree: stop as well.
  broken_ = true;
  out.broken = answer.error();
}

void Engine::settle_stored(const Now& now) {
  const Bundle stored = std::move(*under_way_);
  under_way_.reset();
  resend_at_.reset();
  for (const auto& partition : stored.commit.partitions)
    window_of(partition.partition).dispatched_through = partition.dispatched_through.value;
  unstored_ -= static_cast<std::int64_t>(stored.marks.size() + stored.failing.size());
  for (const auto& ref : stored.failing) {
    entry(ref).state = EntryState::Waiting;
    make_ready(ref, now, false);
  }
  for (const auto& mark : stored.marks) {
    const bool dying = entry(mark.ref).state == EntryState::Dying;
    if (dying) {
      let_go(entry(mark.ref));
      --windows_[mark.ref.window].unfinished;
      ++tally_.dead_lettered;
    }
    const LaneId lane = entry(mark.ref).lane;
    Window& window = windows_[mark.ref.window];
    failure_bytes_ -= window.finish(mark.ref.offset);
    if (!dying || lane == 0) continue;
    if (const auto head = window.advance_lane(lane))
      if (window.at(*head).state == EntryState::Waiting) make_ready({mark.ref.window, *head}, now, false);
  }
  for (auto& window : windows_) window.drop_final();
}

}  // namespace dhub::delivery
