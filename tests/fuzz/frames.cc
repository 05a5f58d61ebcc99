// SPDX-License-Identifier: Apache-2.0
// What comes off the socket between server, host and worker: frames are the same however their bytes arrive, and what
// was read of one is written as bytes that read the same.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "fuzz/input.h"
#include "wire/deliveries.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/outcomes.h"

namespace dhub::fuzz {
namespace {

// A frame's length says how much memory its reader makes ready, and clears: long ones only make the search slow.
constexpr std::uint32_t kMostAnnounced = 64 << 10;

// Up to the frame that announces too much.
std::string_view without_long_frames(std::string_view bytes) {
  std::size_t at = 0;
  std::uint32_t length = 0;
  while (bytes.size() - at >= sizeof length) {
    std::memcpy(&length, bytes.data() + at, sizeof length);
    if (length > kMostAnnounced && length <= wire::kMostFrameBytes) return bytes.substr(0, at);
    if (length > bytes.size() - at - sizeof length) break;
    at += sizeof length + length;
  }
  return bytes;
}

struct Cut {
  std::vector<std::string> frames;
  bool failed = false;
  bool operator==(const Cut&) const = default;
};

Cut cut(std::string_view bytes, std::size_t step) {
  Cut found;
  wire::FrameBuffer buffer;
  while (true) {
    while (true) {
      const auto frame = buffer.next();
      found.failed = !frame;
      if (!frame) return found;
      if (!*frame) break;
      CHECK((*frame)->whole.size() == (*frame)->payload.size() + wire::kFrameHeaderBytes);
      found.frames.emplace_back((*frame)->whole);
    }
    if (bytes.empty()) return found;
    const auto space = buffer.space();
    const auto next = std::min({step, space.size, bytes.size()});
    std::copy_n(bytes.data(), next, space.data);
    buffer.wrote(next);
    bytes.remove_prefix(next);
  }
}

std::string counted(std::size_t count) {
  const auto field = static_cast<std::uint32_t>(count);
  return {reinterpret_cast<const char*>(&field), sizeof field};
}

std::string write(const std::vector<wire::ReceivedDelivery>& deliveries) {
  std::string out = counted(deliveries.size());
  for (const auto& [delivery, flags] : deliveries) {
    const auto before = out.size();
    wire::encode_delivery(out, delivery, flags);
    CHECK(out.size() - before == wire::encoded_bytes(delivery));
  }
  return out;
}

std::string write(const std::vector<wire::ReceivedOutcome>& outcomes) {
  std::string out = counted(outcomes.size());
  for (const auto& [outcome, suspect] : outcomes) wire::encode_outcome(out, outcome, suspect ? wire::kSuspect : 0);
  return out;
}

std::string write(const wire::Start& start) {
  std::string out;
  wire::encode_start(out, start);
  return out;
}

std::string write(const wire::Ended& ended) {
  std::string out;
  wire::encode_ended(out, ended);
  return out;
}

std::string write(const wire::LoadFailure& failure) {
  std::string out;
  wire::encode_failure(out, failure);
  return out;
}

template <typename T>
std::string write(const T& hello) {
  std::string out;
  wire::encode_hello(out, hello);
  return out;
}

template <typename Decode>
void read_again(std::string_view payload, Decode decode) {
  const auto found = decode(payload);
  if (!found) return;
  const std::string written = write(*found);
  const auto again = decode(written);
  CHECK(again.has_value());
  CHECK(write(*again) == written);
}

void check_payload(std::string_view payload) {
  read_again(payload, wire::decode_deliveries);
  read_again(payload, wire::decode_outcomes);
  read_again(payload, wire::decode_server_hello);
  read_again(payload, wire::decode_host_hello);
  read_again(payload, wire::decode_start);
  read_again(payload, wire::decode_ended);
  read_again(payload, wire::decode_failure);
  const auto count = wire::count_outcomes(payload);
  const auto outcomes = wire::decode_outcomes(payload);
  CHECK(count.has_value() == outcomes.has_value());
  CHECK(!count || *count == outcomes->size());
}

}  // namespace
}  // namespace dhub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dhub::fuzz;
  auto bytes = text_of(data, size);
  const std::size_t step = std::size_t{1} + take_byte(bytes) % 64;
  const auto stream = without_long_frames(bytes);
  const Cut whole = cut(stream, stream.size() + 1);
  CHECK(whole == cut(stream, step));
  for (const auto& frame : whole.frames) check_payload(std::string_view(frame).substr(dhub::wire::kFrameHeaderBytes));
  check_payload(bytes);  // without a frame around it, so that no length has to be right
  return 0;
}
