// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/ids.h"

namespace dhub::wire {

// docs/specs/frames.md describes every byte. The numbers are on the wire: never renumber.
enum class FrameType : std::uint8_t {
  Hello = 1,      // both ways, first frame of each side
  Start = 2,      // server -> host -> worker
  Deliver = 3,    // server -> host -> worker
  Recall = 4,     // server -> host
  Drain = 5,      // server -> host -> worker
  Kill = 6,       // server -> host
  Ready = 16,     // worker -> host -> server
  Outcomes = 17,  // worker -> host -> server
  Log = 18,       // host -> server
  Ended = 19,     // host -> server
  Failed = 20,    // worker -> host: the steps could not be loaded
};

// The versions of the protocol that this program speaks.
inline constexpr std::uint16_t kOldestProtocol = 1;
inline constexpr std::uint16_t kNewestProtocol = 1;

// u32 length of what follows, u8 type, u64 instance.
inline constexpr std::size_t kFrameHeaderBytes = 13;
// Most bytes of one frame with its header; a longer one is an error of the peer.
inline constexpr std::size_t kMostFrameBytes = 64ULL << 20;

struct Frame {
  FrameType type{};
  InstanceId instance{};
  std::string_view payload;
  std::string_view whole;  // with its header: to pass it on as it is
};

// Opens a frame at the end of `out` and answers where; its payload is appended by the caller, then end_frame().
[[nodiscard]] std::size_t begin_frame(std::string& out, FrameType type, InstanceId instance);
void end_frame(std::string& out, std::size_t began);
// A frame without a payload.
void put_frame(std::string& out, FrameType type, InstanceId instance);

// Bytes as they come off a socket, cut into frames. Holds at most one frame beyond what one read brings. Frames are
// valid until space() is called again.
class FrameBuffer {
 public:
  // Where the next read may write, and how much: enough for the rest of the frame that has begun, at least 64 KiB.
  struct Space {
    char* data;
    std::size_t size;
  };
  [[nodiscard]] Space space();
  void wrote(std::size_t bytes) { end_ += bytes; }

  // The next whole frame, or none yet. Malformed when the peer sends what is no frame; nothing can be read after that.
  [[nodiscard]] Result<std::optional<Frame>> next();

 private:
  [[nodiscard]] std::size_t missing() const;

  std::string bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace dhub::wire
