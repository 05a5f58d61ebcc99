// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dhub {

using Duration = std::chrono::nanoseconds;
using std::chrono::milliseconds;

// A point of the monotonic clock: for durations and deadlines. Means nothing in another process.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Milliseconds since 1970 UTC: for what is stored or shown. May jump.
struct WallTime {
  std::int64_t ms = 0;
  constexpr auto operator<=>(const WallTime&) const = default;
};

// Both clocks, read together. Time is an argument everywhere in the core.
struct Now {
  Instant mono{};
  WallTime wall{};
};

// Reads both clocks. Only loops, adapters and mains call this.
[[nodiscard]] Now read_clocks();

// "2026-11-23T10:20:30.123Z" (RFC 3339, UTC, milliseconds).
[[nodiscard]] std::string to_rfc3339(WallTime time);
// Accepts RFC 3339 with any offset; InvalidArgument otherwise.
[[nodiscard]] Result<WallTime> parse_rfc3339(std::string_view text);

// "1m30s", "200ms", "2h", "1d", "0s"; units ns us ms s m h d, decimals allowed ("1.5s"). A bare number is refused.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);
[[nodiscard]] std::string to_string(Duration duration);

// "64MiB", "10kB", "512" (bytes). Units B kB MB GB KiB MiB GiB.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string size_to_string(std::uint64_t bytes);

}  // namespace dhub
