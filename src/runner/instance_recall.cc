// SPDX-License-Identifier: Apache-2.0
// The part of an instance that answers for a worker what it was to give back: RecallClaim in docs/specs/delivery.md.
#include <algorithm>
#include <sys/ioctl.h>

#include "runner/instance.h"
#include "wire/bytes.h"
#include "wire/outcomes.h"

namespace dhub::runner {
namespace {

using namespace std::chrono_literals;

// A worker whose events are short gives back by itself what it has not begun. It is also the time in which what a
// worker had noted becomes visible to us where SharedPage::catch_up() has no say: every processor takes an interrupt in
// it, which empties its store buffer.
constexpr Duration kTimeToHear = 20ms;

}  // namespace

void Instance::recall() {
  if (unanswered_.open() == 0) return;
  recalled_ = frames_;
  page_->recall(recalled_);
  if (!recall_) recall_ = Recall{recalled_, read_clocks().mono + kTimeToHear};
}

void Instance::look_at_recall(const Now& now) {
  if (!recall_ || now.mono < recall_->look_at) return;
  const std::uint64_t frames = recall_->frames;
  recall_.reset();
  // What was recalled since then is looked at in its own time.
  if (recalled_ > frames) recall_ = Recall{recalled_, now.mono + kTimeToHear};
  claim(frames);
}

// The worker notes what begins and looks at the recall after it; we have written the recall and look at its notes after
// it. Whatever the two orders were, one of us sees the other: what is not noted now will not begin.
void Instance::claim(std::uint64_t frames) {
  if (ended() || verdict_ || unanswered_.open() == 0) return;
  page_->catch_up();
  const std::vector<DeliveryId> noted = page_->noted();
  // What it had begun and finished by then has left its notes for its socket.
  if (phase_ == Phase::Starting || page_->several()) read_what_was_sent();
  if (ended() || verdict_) return;
  std::string outcomes;
  std::uint32_t told = noted.size() == 1 && !page_->several() ? take_finished(noted.front(), outcomes) : 0;
  const std::vector<DeliveryId> claimed = unbegun(frames, noted);
  for (const DeliveryId id : claimed) {
    Outcome outcome;
    outcome.delivery = id;
    outcome.kind = OutcomeKind::NotStarted;
    wire::encode_outcome(outcomes, outcome, 0);
  }
  told += static_cast<std::uint32_t>(claimed.size());
  if (told == 0) return;
  put_outcomes(told, outcomes);
  answered_some();
}

// A worker sends what it has finished every few milliseconds, but not while an event runs: the outcomes of those before
// a long one lie in the page, and their keys wait. They are told now, and swallowed when it sends them.
std::uint32_t Instance::take_finished(DeliveryId running, std::string& outcomes) {
  const std::string finished(page_->finished_outcomes());
  // It has gone on while we copied, so it sends them itself.
  if (page_->noted() != std::vector{running} || page_->finished_outcomes().size() != finished.size()) return 0;
  wire::Reader reader(finished);
  wire::OutcomeView view;
  std::uint32_t taken = 0;
  while (!reader.empty()) {
    const char* const began = reader.rest().data();
    if (!wire::take_outcome(reader, view)) break;
    if (view.delivery >= running || !unanswered_.claim(view.delivery)) continue;
    outcomes.append(began, reader.rest().data());
    ++taken;
  }
  return taken;
}

std::vector<DeliveryId> Instance::unbegun(std::uint64_t frames, const std::vector<DeliveryId>& noted) {
  // It still loads its steps: had it begun anything, it would have said before that it is ready.
  if (phase_ == Phase::Starting) return unanswered_.claim(frames, [](DeliveryId) { return true; });
  if (page_->several()) {
    return unanswered_.claim(frames,
                             [&](DeliveryId id) { return std::find(noted.begin(), noted.end(), id) == noted.end(); });
  }
  // It runs one after another, in their order, so what stands before the one that runs is finished, wherever its
  // outcome is. Where none runs, nothing keeps it from answering by itself.
  if (noted.size() != 1) return {};
  return unanswered_.claim(frames, [&](DeliveryId id) { return id > noted.front(); });
}

// All that is in its socket now, whether the server takes more or not: it is one buffer of the kernel's at most.
void Instance::read_what_was_sent() {
  int waiting = 0;
  if (gone_quiet_ || ::ioctl(link_.get(), FIONREAD, &waiting) != 0) return;
  const std::uint64_t all = received_ + static_cast<std::uint64_t>(std::max(waiting, 0));
  while (received_ < all && !gone_quiet_ && !ended()) {
    const std::uint64_t before = received_;
    (void)read_once();
    take_frames();
    if (received_ == before) return;
  }
}

}  // namespace dhub::runner
