// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "runner/descriptor.h"
#include "runner/epoll.h"
#include "wire/frame.h"
#include "wire/out_buffer.h"

namespace dhub::runner {

// The host's end of the stream to the server. What is to be sent gathers in out() and goes out with flush(), once a
// turn. Ends when the server does, or when it sends what is no frame.
class ServerLink : public Source {
 public:
  using OnFrame = std::function<void(const wire::Frame&)>;

  ServerLink(int fd, Epoll& epoll, OnFrame on_frame);
  ~ServerLink() override;

  // The first frame; takes the descriptor `lifeline` along.
  void send_hello(const std::string& frame, int lifeline);
  [[nodiscard]] std::string& out() { return out_.bytes(); }
  void flush();
  // So much waits that workers should not be read from.
  [[nodiscard]] bool is_full() const;
  [[nodiscard]] bool ended() const { return ended_; }

  void on_events(std::uint32_t events) override;

 private:
  void read();

  Descriptor socket_;
  Epoll& epoll_;
  OnFrame on_frame_;
  wire::FrameBuffer in_;
  wire::OutBuffer out_;
  bool waits_for_room_ = false;
  bool ended_ = false;
};

}  // namespace dhub::runner
