// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "wire/bytes.h"

namespace dhub::wire {
namespace {

constexpr std::size_t kReadBytes = 64ULL << 10;
// A buffer that grew for one large frame is given back.
constexpr std::size_t kKeptBytes = 1ULL << 20;

std::uint32_t length_at(const char* frame) {
  std::uint32_t length = 0;
  std::memcpy(&length, frame, sizeof length);
  return length;
}

}  // namespace

std::size_t begin_frame(std::string& out, FrameType type, InstanceId instance) {
  const std::size_t began = out.size();
  put(out, std::uint32_t{0});
  put(out, static_cast<std::uint8_t>(type));
  put(out, instance.value);
  return began;
}

void end_frame(std::string& out, std::size_t began) {
  const std::size_t length = out.size() - began - sizeof(std::uint32_t);
  CHECK(length + sizeof(std::uint32_t) <= kMostFrameBytes);
  const auto field = static_cast<std::uint32_t>(length);
  std::memcpy(out.data() + began, &field, sizeof field);
}

void put_frame(std::string& out, FrameType type, InstanceId instance) {
  end_frame(out, begin_frame(out, type, instance));
}

std::size_t FrameBuffer::missing() const {
  const std::size_t have = end_ - begin_;
  if (have < sizeof(std::uint32_t)) return 0;
  const std::size_t whole = sizeof(std::uint32_t) + length_at(bytes_.data() + begin_);
  return whole > have && whole <= kMostFrameBytes ? whole - have : 0;
}

FrameBuffer::Space FrameBuffer::space() {
  const std::size_t wanted = std::max(kReadBytes, missing());
  if (begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (bytes_.size() > kKeptBytes && end_ + wanted <= kKeptBytes) {
    bytes_.resize(end_ + wanted);
    bytes_.shrink_to_fit();
  }
  if (bytes_.size() < end_ + wanted) bytes_.resize(end_ + wanted);
  return {bytes_.data() + end_, bytes_.size() - end_};
}

Result<std::optional<Frame>> FrameBuffer::next() {
  const std::size_t have = end_ - begin_;
  if (have < sizeof(std::uint32_t)) return std::nullopt;
  const char* at = bytes_.data() + begin_;
  const std::size_t whole = sizeof(std::uint32_t) + length_at(at);
  if (whole < kFrameHeaderBytes || whole > kMostFrameBytes)
    return fail(ErrorCode::Malformed, "a frame of " + std::to_string(whole) + " bytes was announced, which cannot be.");
  if (have < whole) return std::nullopt;
  Frame frame;
  frame.whole = std::string_view(at, whole);
  frame.type = static_cast<FrameType>(at[4]);
  std::memcpy(&frame.instance.value, at + 5, sizeof frame.instance.value);
  frame.payload = frame.whole.substr(kFrameHeaderBytes);
  begin_ += whole;
  return frame;
}

}  // namespace dhub::wire
