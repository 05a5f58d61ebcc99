// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <fmt/format.h>

namespace dhub {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Longest names first where one is the start of another.
constexpr std::array<Unit, 7> kDurationUnits{
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}, {"d", 8.64e13}}};
constexpr std::array<Unit, 7> kSizeUnits{{{"B", 1},
                                          {"kB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"KiB", 1024},
                                          {"MiB", 1024.0 * 1024},
                                          {"GiB", 1024.0 * 1024 * 1024}}};

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
  for (const auto& unit : units)
    if (unit.name == name) return &unit;
  return nullptr;
}

// Takes a leading non-negative decimal number off `text`; negative when there is none.
double take_number(std::string_view& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return -1;
  double value = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (parsed.ec != std::errc{}) return -1;
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return value;
}

std::string_view take_letters(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z'))) ++n;
  const auto letters = text.substr(0, n);
  text.remove_prefix(n);
  return letters;
}

bool take_int(std::string_view& text, std::size_t digits, int& out) {
  if (text.size() < digits) return false;
  const auto parsed = std::from_chars(text.data(), text.data() + digits, out);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + digits || text[0] == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take_char(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// Fraction of a second and zone offset: "[.123]Z" or "[.123]+01:00".
bool take_fraction_and_zone(std::string_view& text, std::int64_t& ms, std::int64_t& offset_s) {
  ms = 0;
  offset_s = 0;
  if (take_char(text, '.')) {
    int scale = 100;
    std::size_t digits = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9' && digits < 18) {
      ms += (text[0] - '0') * scale;
      scale /= 10;
      ++digits;
      text.remove_prefix(1);
    }
    if (digits == 0) return false;
  }
  if (take_char(text, 'Z') || take_char(text, 'z')) return text.empty();
  const int sign = take_char(text, '+') ? 1 : take_char(text, '-') ? -1 : 0;
  int hours = 0;
  int minutes = 0;
  if (sign == 0 || !take_int(text, 2, hours) || !take_char(text, ':') || !take_int(text, 2, minutes)) return false;
  offset_s = sign * (hours * 3600 + minutes * 60);
  return text.empty() && hours < 24 && minutes < 60;
}

}  // namespace

Now read_clocks() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now()),
          WallTime{std::chrono::duration_cast<milliseconds>(wall).count()}};
}

std::string to_rfc3339(WallTime time) {
  std::int64_t seconds = time.ms / 1000;
  std::int64_t ms = time.ms % 1000;
  if (ms < 0) {
    ms += 1000;
    --seconds;
  }
  const std::time_t as_time = seconds;
  std::tm utc{};
  gmtime_r(&as_time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' is not an RFC 3339 time such as 2026-11-23T10:20:30Z.", text.substr(0, 64)));
  };
  std::string_view rest = text;
  std::tm utc{};
  if (!take_int(rest, 4, utc.tm_year) || !take_char(rest, '-') || !take_int(rest, 2, utc.tm_mon) ||
      !take_char(rest, '-') || !take_int(rest, 2, utc.tm_mday))
    return bad();
  if (!take_char(rest, 'T') && !take_char(rest, 't')) return bad();
  if (!take_int(rest, 2, utc.tm_hour) || !take_char(rest, ':') || !take_int(rest, 2, utc.tm_min) ||
      !take_char(rest, ':') || !take_int(rest, 2, utc.tm_sec))
    return bad();
  std::int64_t ms = 0;
  std::int64_t offset_s = 0;
  if (!take_fraction_and_zone(rest, ms, offset_s)) return bad();
  const bool in_range = utc.tm_mon >= 1 && utc.tm_mon <= 12 && utc.tm_mday >= 1 && utc.tm_mday <= 31 &&
                        utc.tm_hour <= 23 && utc.tm_min <= 59 && utc.tm_sec <= 60;
  if (!in_range) return bad();
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  const int day = utc.tm_mday;
  const std::int64_t seconds = timegm(&utc);
  if (utc.tm_mday != day) return bad();  // 31 February and the like
  return WallTime{(seconds - offset_s) * 1000 + ms};
}

Result<Duration> parse_duration(std::string_view text) {
  std::string_view rest = text;
  double total = 0;
  bool any = false;
  while (!rest.empty()) {
    const double number = take_number(rest);
    const Unit* unit = number < 0 ? nullptr : find_unit(kDurationUnits, take_letters(rest));
    if (unit == nullptr) {
      any = false;
      break;
    }
    total += number * unit->factor;
    any = true;
  }
  constexpr double kMost = 9.2e18;  // 292 years
  if (!any || total > kMost)
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' is not a duration; write a number with a unit, such as 200ms, 30s or 1m30s.",
                            text.substr(0, 64)));
  return Duration{static_cast<std::int64_t>(std::llround(total))};
}

std::string to_string(Duration duration) {
  std::int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string text;
  if (rest < 0) {
    text = "-";
    rest = -rest;
  }
  for (const auto& [name, size] : {std::pair{"d", 86400000000000LL},
                                   {"h", 3600000000000LL},
                                   {"m", 60000000000LL},
                                   {"s", 1000000000LL},
                                   {"ms", 1000000LL},
                                   {"us", 1000LL},
                                   {"ns", 1LL}}) {
    if (rest >= size) text += fmt::format("{}{}", rest / size, name);
    rest %= size;
  }
  return text;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const double number = take_number(rest);
  const Unit* unit = rest.empty() ? &kSizeUnits[0] : find_unit(kSizeUnits, rest);
  if (number < 0 || unit == nullptr || number * unit->factor > 9e18)
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' is not a size; write bytes or a number with a unit, such as 64MiB or 10kB.",
                            text.substr(0, 64)));
  return static_cast<std::uint64_t>(std::llround(number * unit->factor));
}

std::string size_to_string(std::uint64_t bytes) {
  for (const auto& [name, size] : {std::pair{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}})
    if (bytes >= size && bytes % size == 0) return fmt::format("{}{}", bytes / size, name);
  return fmt::format("{}B", bytes);
}

}  // namespace dhub
