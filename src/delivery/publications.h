// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "delivery/settings.h"
#include "model/run.h"

namespace dhub::delivery {

// Cut to so many bytes, never in the middle of a character.
[[nodiscard]] std::string cut(std::string_view text, std::size_t bytes);

// Why what a run published cannot go out; none when it can. Final, since a repeat would publish the same.
[[nodiscard]] std::optional<std::string> refuse_publications(const Outcome& outcome, std::uint16_t hops,
                                                             const EngineLimits& limits);

// What an event's publications take over from it: trace context, hops, and where they come from ("topic/0/4711").
// Appended to `to`.
void pass_on(std::string_view headers, const std::string& origin, std::vector<Publication>& publications,
             std::vector<Publication>& to);

// The copy of a dead letter that goes to a topic. A copy of a copy counts as a hop, so that a trigger on its own dead
// letter topic does not go round for ever.
[[nodiscard]] Publication copy_of(const DeadLetter& letter, const std::string& topic, std::uint16_t hops,
                                  const std::string& origin);

}  // namespace dhub::delivery
