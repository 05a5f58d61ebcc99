// SPDX-License-Identifier: Apache-2.0
#include "loop/loop_thread.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <pthread.h>
#include <utility>

namespace dhub::loop {

LoopThread::LoopThread(std::string name)
    : name_(std::move(name), 0, 15), io_(std::make_unique<boost::asio::io_context>()) {}

LoopThread::~LoopThread() {
  stop();
}

void LoopThread::start() {
  thread_.with([this](std::jthread& thread) {
    if (!thread.joinable() && !io_->stopped()) thread = std::jthread([this] { run(); });
  });
}

void LoopThread::stop() {
  io_->stop();
  // Its own thread must not wait for itself, nor for a lock whose holder waits for it.
  if (loop_id_ == std::this_thread::get_id()) return;
  thread_.with([](std::jthread& thread) {
    if (thread.joinable()) thread.join();
  });
}

void LoopThread::run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  loop_id_ = std::this_thread::get_id();
  const auto keep_running = boost::asio::make_work_guard(*io_);
  io_->run();
  loop_id_ = std::thread::id{};
}

}  // namespace dhub::loop
