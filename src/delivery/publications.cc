// SPDX-License-Identifier: Apache-2.0
#include "delivery/publications.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "delivery/headers.h"
#include "model/topic.h"

namespace dhub::delivery {
namespace {

std::size_t size_of(const Message& message) {
  std::size_t bytes = (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
  for (const auto& header : message.headers) bytes += header.name.size() + (header.value ? header.value->size() : 0);
  return bytes;
}

bool has_long_header_name(const Message& message) {
  constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();  // as headers are encoded
  return std::any_of(message.headers.begin(), message.headers.end(),
                     [](const Header& header) { return header.name.size() > kMost; });
}

void set_headers(std::vector<Header>& headers, std::uint16_t hops, std::string origin) {
  std::erase_if(headers, [](const Header& h) {
    return h.name == kHopsHeader || h.name == kOriginHeader || h.name == kErrorHeader;
  });
  headers.reserve(headers.size() + 3);
  headers.push_back({kHopsHeader, std::to_string(hops + 1)});
  headers.push_back({kOriginHeader, std::move(origin)});
}

}  // namespace

std::string cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
  std::size_t end = bytes;
  while (end > 0 && bytes - end < 3 && continues(text[end])) --end;
  return std::string(text.substr(0, end));
}

std::optional<std::string> refuse_publications(const Outcome& outcome, std::uint16_t hops, const EngineLimits& limits) {
  if (outcome.kind != OutcomeKind::Succeeded || outcome.publications.empty()) return std::nullopt;
  if (hops >= limits.hops)
    return fmt::format(
        "The event has come through {} triggers; a chain is cut here so that it cannot go round for ever.", hops);
  for (const auto& publication : outcome.publications) {
    if (!parse_topic_name(publication.topic))
      return fmt::format("A step published to '{}', which is no topic name.", cut(publication.topic, 64));
    if (size_of(publication.message) > limits.message_bytes)
      return fmt::format("A step published more than {} bytes in one message to '{}'.", limits.message_bytes,
                         publication.topic);
    if (has_long_header_name(publication.message))
      return fmt::format("A step published a message to '{}' with a header name of more than 65535 bytes.",
                         publication.topic);
  }
  return std::nullopt;
}

void pass_on(std::string_view headers, const std::string& origin, std::vector<Publication>& publications,
             std::vector<Publication>& to) {
  const std::uint16_t hops = hops_of(headers);
  std::size_t n = 0;
  for (auto& publication : publications) {
    pass_trace_on(headers, publication.message.headers);
    set_headers(publication.message.headers, hops, fmt::format("{}/{}", origin, n++));
    to.push_back(std::move(publication));
  }
}

Publication copy_of(const DeadLetter& letter, const std::string& topic, std::uint16_t hops, const std::string& origin) {
  Publication copy{topic, letter.message};
  copy.message.timestamp = letter.created_at;
  set_headers(copy.message.headers, hops, origin + "/dead");
  copy.message.headers.push_back({kErrorHeader, letter.last_error});
  return copy;
}

}  // namespace dhub::delivery
