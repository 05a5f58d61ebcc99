// SPDX-License-Identifier: Apache-2.0
// The part of an instance that says how it ended.
#include <algorithm>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/instance.h"
#include "runner/processes.h"
#include "wire/bytes.h"
#include "wire/outcomes.h"

namespace dhub::runner {
namespace {

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* name = ::sigabbrev_np(number);
    return name == nullptr ? fmt::format("killed by signal {}", number)
                           : fmt::format("killed by signal {} (SIG{})", number, name);
  }
  return fmt::format("exited with status {}", WEXITSTATUS(status));
}

OutcomeKind outcome_of(EndReason reason) {
  if (reason == EndReason::TimedOut) return OutcomeKind::TimedOut;
  if (reason == EndReason::OutOfMemory) return OutcomeKind::OutOfMemory;
  return OutcomeKind::Crashed;
}

// The interpreter's own account without the runner's part of the stack, which says nothing to the user.
std::string users_frames(std::string_view text) {
  std::string kept;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    const bool ours = line.starts_with("  File \"") && (line.find("/dhub/worker.py\"") != std::string_view::npos ||
                                                        line.find("/dhub/template.py\"") != std::string_view::npos ||
                                                        line.find("/dhub/_concurrent.py\"") != std::string_view::npos ||
                                                        line.find("/dhub/_results.py\"") != std::string_view::npos ||
                                                        line.starts_with("  File \"<string>\""));
    if (!ours) kept += line;
  }
  return kept;
}

}  // namespace

void Instance::finish(std::optional<int> status, const std::string& why) {
  if (ended()) return;
  drain_worker();
  log_.drain();
  std::vector<Begun> begun = page_->begun();
  answer_finished();
  // What it had finished at the last moment, sent already, or was answered for it, is no victim.
  std::erase_if(begun, [&](const Begun& b) { return !unanswered_.is_open(b.delivery); });
  const Now now = read_clocks();
  const EndReason reason = end_reason(status, begun);
  const std::string how = status ? describe(*status) : why;
  if (!verdict_) verdict_ = Verdict{reason, reason == EndReason::Drained ? "" : how, {}};
  verdict_->reason = reason;
  answer_begun(begun, how, now);
  wire::Ended end{reason, verdict_->detail, {}};
  if (end.detail.empty() && reason != EndReason::Drained) end.detail = how;
  if (reason == EndReason::FailedToStart) end.trace = load_failure_ ? load_failure_->trace : last_trace();
  if (reason == EndReason::FailedToStart && load_failure_) end.detail = load_failure_->error;
  phase_ = Phase::Ended;
  std::string& out = owner_.to_server();
  const std::size_t began = wire::begin_frame(out, wire::FrameType::Ended, id_);
  wire::encode_ended(out, end);
  wire::end_frame(out, began);
  log_.close();
  if (link_.is_open() && !gone_quiet_) epoll_.remove(link_.get());
  link_.close();
  check_at_.reset();
}

// Whatever it had sent is in our socket by now. Children that it left have no say: they are dead, or hold a copy of
// the socket that is not read any more.
void Instance::drain_worker() {
  constexpr int kMostReads = 4096;
  for (int i = 0; i < kMostReads && read_once(); ++i) take_frames();
  take_frames();
}

// What was finished, but not sent yet.
void Instance::answer_finished() {
  wire::Reader reader(page_->finished_outcomes());
  std::string payload;
  std::uint32_t count = 0;
  wire::OutcomeView view;
  while (unanswered_.open() > 0) {
    const char* const began = reader.rest().data();
    if (reader.empty() || !wire::take_outcome(reader, view)) break;
    if (unanswered_.answer(view.delivery) != Unanswered::Answer::Passed) continue;
    payload.append(began, reader.rest().data());
    ++count;
  }
  if (count > 0) put_outcomes(count, payload);
}

EndReason Instance::end_reason(std::optional<int> status, const std::vector<Begun>& begun) const {
  if (load_failure_) return EndReason::FailedToStart;
  if (verdict_) return verdict_->reason;
  if (phase_ == Phase::Starting) return EndReason::FailedToStart;
  if (page_->gave_up()) return EndReason::OutOfMemory;
  if (status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL && system_memory_kills() > memory_kills_before_)
    return EndReason::OutOfMemory;
  if (draining_ && begun.empty() && status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0)
    return EndReason::Drained;
  return EndReason::Crashed;
}

// One that had begun is charged with the death. Of several each must run again alone, so that the next death names it.
// When another than the one that was to be killed had begun by then, nobody is charged.
void Instance::answer_begun(const std::vector<Begun>& begun, const std::string& how, const Now& now) {
  if (begun.size() > 1) {
    for (const Begun& each : begun) {
      Outcome outcome;
      outcome.delivery = each.delivery;
      outcome.kind = OutcomeKind::NotStarted;
      put_outcome(outcome, wire::kSuspect);
    }
    return;
  }
  if (begun.empty() || (verdict_->victim && *verdict_->victim != begun.front().delivery)) return;
  Outcome outcome;
  outcome.delivery = begun.front().delivery;
  outcome.kind = outcome_of(verdict_->reason);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now.mono - begun.front().since).count();
  outcome.duration_us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(took, 0, 0xffffffff));
  outcome.step =
      std::min<std::uint16_t>(page_->step(begun.front().slot), static_cast<std::uint16_t>(start_.spec.steps.size()));
  outcome.results = page_->finished_steps(begun.front().slot);
  outcome.log = page_->log();
  if (verdict_->reason == EndReason::TimedOut) {
    outcome.error =
        fmt::format("timed out: the attempt ran for more than {} (options.timeout)", to_string(start_.spec.timeout));
  } else if (verdict_->reason == EndReason::OutOfMemory) {
    outcome.error = "out of memory: " + (verdict_->detail.empty() ? how : verdict_->detail);
  } else {
    outcome.error = verdict_->reason == EndReason::Killed ? "killed by the server" : "the worker was " + how;
  }
  if (outcome.error == "the worker was " + how && !how.starts_with("killed")) outcome.error = "the worker " + how;
  outcome.trace = last_trace();
  put_outcome(outcome, 0);
}

// What the interpreter printed when it was asked where it is, or when it crashed.
std::string Instance::last_trace() const {
  if (asked_ && verdict_ && verdict_->reason == EndReason::TimedOut) return users_frames(log_.tail_since(asked_log_));
  const std::string_view tail = log_.tail();
  const std::size_t fatal = tail.rfind("Fatal Python error: ");
  if (fatal != std::string_view::npos) return users_frames(tail.substr(fatal));
  return phase_ == Phase::Starting ? std::string(tail) : std::string();
}

void Instance::put_outcome(const Outcome& outcome, std::uint8_t flags) {
  std::string encoded;
  wire::encode_outcome(encoded, outcome, flags);
  put_outcomes(1, encoded);
}

void Instance::put_outcomes(std::uint32_t count, std::string_view outcomes) {
  std::string& out = owner_.to_server();
  const std::size_t began = wire::begin_frame(out, wire::FrameType::Outcomes, id_);
  wire::put(out, count);
  out += outcomes;
  wire::end_frame(out, began);
}

}  // namespace dhub::runner
