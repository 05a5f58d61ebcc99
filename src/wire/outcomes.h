// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "wire/bytes.h"

namespace dhub::wire {

// It had begun, together with others, when its worker died: it must run alone, so that the next death names it.
inline constexpr std::uint8_t kSuspect = 1;
inline constexpr std::uint8_t kHasRetryAfter = 2;

// One outcome as it stands in the frame.
struct OutcomeView {
  DeliveryId delivery{};
  OutcomeKind kind{};
  std::uint8_t flags = 0;
  std::uint16_t step = 0;
  std::uint32_t duration_us = 0;
  std::int64_t retry_after_ms = 0;
  std::string_view error;
  std::string_view trace;
  std::string_view log;
  std::string_view results;
  std::string_view publications;
};
// Takes one outcome and checks all of its form, publications included. False when it does not have it.
[[nodiscard]] bool take_outcome(Reader& reader, OutcomeView& out);

// Appends one outcome of an Outcomes frame, whose payload begins with their count (u32).
void encode_outcome(std::string& out, const Outcome& outcome, std::uint8_t flags);

// How many outcomes the payload of an Outcomes frame holds; Malformed when it is not one.
[[nodiscard]] Result<std::uint32_t> count_outcomes(std::string_view payload);

struct ReceivedOutcome {
  Outcome outcome;
  bool suspect = false;
};
// Texts become valid UTF-8 and are cut: they come from a process that runs user code.
[[nodiscard]] Result<std::vector<ReceivedOutcome>> decode_outcomes(std::string_view payload);

}  // namespace dhub::wire
