// SPDX-License-Identifier: Apache-2.0
#include "delivery/headers.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace dhub::delivery {
namespace {

constexpr std::uint32_t kNullValue = std::numeric_limits<std::uint32_t>::max();

template <typename Length>
bool take_sized(std::string_view& block, std::string_view& out) {
  Length length = 0;
  if (block.size() < sizeof length) return false;
  std::memcpy(&length, block.data(), sizeof length);
  block.remove_prefix(sizeof length);
  if (sizeof length == sizeof kNullValue && length == static_cast<Length>(kNullValue)) length = 0;
  if (block.size() < length) return false;
  out = block.substr(0, length);
  block.remove_prefix(length);
  return true;
}

// Takes the next header of a block; false at its end.
bool take_header(std::string_view& block, std::string_view& name, std::string_view& value) {
  return take_sized<std::uint16_t>(block, name) && take_sized<std::uint32_t>(block, value);
}

constexpr std::string_view kTraceParent = "traceparent";
constexpr std::string_view kTraceState = "tracestate";

}  // namespace

std::uint16_t hops_of(std::string_view header_block) {
  std::string_view name;
  std::string_view value;
  while (take_header(header_block, name, value)) {
    if (name != kHopsHeader) continue;
    std::uint16_t hops = 0;
    const char* end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, hops);
    // A number too large to read has been through too many as well.
    if (parsed.ec == std::errc::result_out_of_range) return std::numeric_limits<std::uint16_t>::max();
    return parsed.ec == std::errc{} && parsed.ptr == end ? hops : std::uint16_t{0};
  }
  return 0;
}

void pass_trace_on(std::string_view header_block, std::vector<Header>& headers) {
  const bool has_own =
      std::any_of(headers.begin(), headers.end(), [](const Header& header) { return header.name == kTraceParent; });
  std::string_view name;
  std::string_view value;
  while (!has_own && take_header(header_block, name, value))
    if (name == kTraceParent || name == kTraceState) headers.push_back({std::string(name), std::string(value)});
}

}  // namespace dhub::delivery
