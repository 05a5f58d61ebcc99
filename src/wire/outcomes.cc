// SPDX-License-Identifier: Apache-2.0
#include "wire/outcomes.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "model/message.h"

namespace dhub::wire {
namespace {

constexpr std::size_t kMostErrorBytes = 8ULL << 10;
constexpr std::size_t kMostTraceBytes = 64ULL << 10;
constexpr std::int64_t kMostRetryAfterMs = 366LL * 24 * 3600 * 1000;
constexpr std::uint32_t kNullLength = 0xffffffff;

bool well_formed_headers(std::string_view block) {
  Reader reader(block);
  while (!reader.empty()) {
    std::uint16_t name = 0;
    std::uint32_t value = 0;
    std::string_view skipped;
    if (!reader.take(name) || !reader.take_bytes(name, skipped) || !reader.take(value)) return false;
    if (value != kNullLength && !reader.take_bytes(value, skipped)) return false;
  }
  return true;
}

bool take_publication(Reader& reader, std::string_view& topic, RecordView& record) {
  std::uint16_t length = 0;
  if (!reader.take(length) || !reader.take_bytes(length, topic)) return false;
  std::string_view rest = reader.rest();
  auto taken = take_record(rest);
  if (!taken || !well_formed_headers(taken->headers)) return false;
  record = *taken;
  reader = Reader(rest);
  return true;
}

bool well_formed_publications(std::string_view block) {
  Reader reader(block);
  std::string_view topic;
  RecordView record;
  while (!reader.empty()) {
    if (!take_publication(reader, topic, record)) return false;
  }
  return true;
}

bool is_kind(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(OutcomeKind::Succeeded) &&
         kind <= static_cast<std::uint8_t>(OutcomeKind::OutOfMemory);
}

std::string clean_text(std::string_view text, std::size_t most) {
  text = text.substr(0, most);
  if (is_utf8(text)) return std::string(text);
  std::string clean;
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    clean += next.valid ? next.bytes : "\xef\xbf\xbd";
  }
  return clean;
}

std::vector<Publication> read_publications(std::string_view block) {
  std::vector<Publication> publications;
  Reader reader(block);
  std::string_view topic;
  RecordView record;
  while (!reader.empty() && take_publication(reader, topic, record)) {
    auto message = to_message(record);
    if (message) publications.push_back({std::string(topic), std::move(*message)});
  }
  return publications;
}

Outcome read_outcome(const OutcomeView& view) {
  Outcome outcome;
  outcome.delivery = view.delivery;
  outcome.kind = view.kind;
  outcome.duration_us = view.duration_us;
  outcome.step = view.step;
  if (view.flags & kHasRetryAfter)
    outcome.retry_after = milliseconds(std::clamp<std::int64_t>(view.retry_after_ms, 0, kMostRetryAfterMs));
  outcome.error = clean_text(view.error, kMostErrorBytes);
  outcome.trace = clean_text(view.trace, kMostTraceBytes);
  outcome.log = clean_text(view.log, view.log.size());
  outcome.results = view.results;
  outcome.publications = read_publications(view.publications);
  return outcome;
}

std::string encode_publications(const std::vector<Publication>& publications) {
  std::string block;
  for (const auto& [topic, message] : publications) {
    put(block, static_cast<std::uint16_t>(topic.size()));
    block += topic;
    const std::string headers = encode_headers(message.headers);
    append_record(block, view_of(message, headers));
  }
  return block;
}

// Calls `each` for every outcome; false when the payload is malformed.
template <typename F>
bool walk(std::string_view payload, F&& each) {
  Reader reader(payload);
  std::uint32_t count = 0;
  if (!reader.take(count)) return false;
  OutcomeView view;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!take_outcome(reader, view)) return false;
    each(view);
  }
  return reader.empty();
}

tl::unexpected<Error> malformed() {
  return fail(ErrorCode::Malformed, "a frame does not hold outcomes.");
}

}  // namespace

bool take_outcome(Reader& frame, OutcomeView& out) {
  std::string_view bytes;
  if (!frame.take_string(bytes)) return false;
  Reader reader(bytes);
  std::uint8_t kind = 0;
  std::uint32_t error = 0;
  std::uint32_t trace = 0;
  std::uint32_t log = 0;
  std::uint32_t results = 0;
  std::uint32_t publications = 0;
  const bool fits = reader.take(out.delivery.value) && reader.take(kind) && is_kind(kind) && reader.take(out.flags) &&
                    reader.take(out.step) && reader.take(out.duration_us) && reader.take(out.retry_after_ms) &&
                    reader.take(error) && reader.take(trace) && reader.take(log) && reader.take(results) &&
                    reader.take(publications) && reader.take_bytes(error, out.error) &&
                    reader.take_bytes(trace, out.trace) && reader.take_bytes(log, out.log) &&
                    reader.take_bytes(results, out.results) && reader.take_bytes(publications, out.publications) &&
                    reader.empty() && well_formed_publications(out.publications);
  out.kind = static_cast<OutcomeKind>(kind);
  return fits;
}

void encode_outcome(std::string& out, const Outcome& outcome, std::uint8_t flags) {
  const std::string publications = encode_publications(outcome.publications);
  const std::size_t began = out.size();
  put(out, std::uint32_t{0});
  put(out, outcome.delivery.value);
  put(out, static_cast<std::uint8_t>(outcome.kind));
  put(out, static_cast<std::uint8_t>(flags | (outcome.retry_after ? kHasRetryAfter : 0)));
  put(out, outcome.step);
  put(out, outcome.duration_us);
  put(out, std::int64_t{std::chrono::duration_cast<milliseconds>(outcome.retry_after.value_or(Duration{})).count()});
  for (const auto* text : {&outcome.error, &outcome.trace, &outcome.log, &outcome.results, &publications})
    put(out, static_cast<std::uint32_t>(text->size()));
  for (const auto* text : {&outcome.error, &outcome.trace, &outcome.log, &outcome.results, &publications}) out += *text;
  const auto length = static_cast<std::uint32_t>(out.size() - began - sizeof(std::uint32_t));
  std::memcpy(out.data() + began, &length, sizeof length);
}

Result<std::uint32_t> count_outcomes(std::string_view payload) {
  std::uint32_t count = 0;
  if (!walk(payload, [&](const OutcomeView&) { ++count; })) return malformed();
  return count;
}

Result<std::vector<ReceivedOutcome>> decode_outcomes(std::string_view payload) {
  std::vector<ReceivedOutcome> outcomes;
  const bool fits = walk(payload, [&](const OutcomeView& view) {
    outcomes.push_back({read_outcome(view), (view.flags & kSuspect) != 0});
  });
  if (!fits) return malformed();
  return outcomes;
}

}  // namespace dhub::wire
