// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dhub::wire {

// Bytes that wait for a socket: frames are appended to bytes(), what the socket has taken is told by sent(). Taking
// from the front costs nothing; the room of a large burst is given back.
class OutBuffer {
 public:
  // Only to be appended to.
  [[nodiscard]] std::string& bytes() { return bytes_; }
  [[nodiscard]] std::string_view pending() const { return std::string_view(bytes_).substr(sent_); }
  [[nodiscard]] bool empty() const { return sent_ == bytes_.size(); }
  [[nodiscard]] std::size_t size() const { return bytes_.size() - sent_; }

  void sent(std::size_t count) {
    sent_ += count;
    if (empty()) {
      clear();
    } else if (sent_ > kKeptBytes && sent_ > bytes_.size() / 2) {
      bytes_.erase(0, sent_);
      sent_ = 0;
    }
  }
  void clear() {
    bytes_.clear();
    sent_ = 0;
    if (bytes_.capacity() > kKeptBytes) bytes_.shrink_to_fit();
  }

 private:
  static constexpr std::size_t kKeptBytes = 1ULL << 20;
  std::string bytes_;
  std::size_t sent_ = 0;
};

}  // namespace dhub::wire
