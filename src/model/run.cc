// SPDX-License-Identifier: Apache-2.0
#include "model/run.h"

#include <charconv>
#include <fmt/format.h>

namespace dhub {
namespace {

template <typename T>
bool take_number(std::string_view& text, T& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc{} || out < 0) return false;
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return true;
}

bool take_dash(std::string_view& text) {
  if (text.empty() || text[0] != '-') return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

const char* to_string(FinalState state) {
  switch (state) {
    case FinalState::None:
      return "waiting";
    case FinalState::Succeeded:
      return "succeeded";
    case FinalState::Filtered:
      return "filtered";
    case FinalState::DeadLettered:
      return "dead_lettered";
    case FinalState::Expired:
      return "expired";
    case FinalState::Skipped:
      return "skipped";
    case FinalState::Absent:
      return "absent";
  }
  return "waiting";
}

const char* to_string(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::Succeeded:
      return "succeeded";
    case OutcomeKind::Filtered:
      return "filtered";
    case OutcomeKind::Failed:
      return "failed";
    case OutcomeKind::Rejected:
      return "rejected";
    case OutcomeKind::NotStarted:
      return "not_started";
    case OutcomeKind::Crashed:
      return "crashed";
    case OutcomeKind::TimedOut:
      return "timed_out";
    case OutcomeKind::OutOfMemory:
      return "out_of_memory";
  }
  return "failed";
}

std::string to_string(const RunId& id) {
  return fmt::format("{}-{}-{}", id.pass, id.partition, id.offset);
}

std::optional<RunId> parse_run_id(std::string_view text) {
  RunId id;
  if (!take_number(text, id.pass.value) || !take_dash(text) || !take_number(text, id.partition.value) ||
      !take_dash(text) || !take_number(text, id.offset.value) || !text.empty())
    return std::nullopt;
  return id;
}

}  // namespace dhub
