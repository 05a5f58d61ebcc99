// SPDX-License-Identifier: Apache-2.0
#include "loop/asio_scheduler.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unordered_map>
#include <utility>

namespace dhub::loop {

// A timer is pending while it is in the map: an expiry that Asio has queued before a cancel finds nothing here.
struct AsioScheduler::Timers {
  struct Pending {
    boost::asio::steady_timer timer;
    Task task;
  };
  std::unordered_map<TimerId, Pending> pending;
  std::uint64_t last_id = 0;

  void expired(TimerId id, Turns& turns) {
    auto node = pending.extract(id);
    if (!node.empty()) turns.run(node.mapped().task);
  }
};

AsioScheduler::AsioScheduler(boost::asio::io_context& io, Turns::Watch watch)
    : io_(io), turns_(std::make_shared<Turns>(watch)), timers_(std::make_shared<Timers>()) {}

AsioScheduler::~AsioScheduler() = default;

void AsioScheduler::post(Task task) {
  if (io_.stopped()) return;
  boost::asio::post(io_, [turns = turns_, task = std::move(task)] { turns->run(task); });
}

Scheduler::TimerId AsioScheduler::at(Instant when, Task task) {
  const TimerId id{++timers_->last_id};
  const auto [entry, added] = timers_->pending.try_emplace(id, Timers::Pending{boost::asio::steady_timer(io_), {}});
  entry->second.task = std::move(task);
  entry->second.timer.expires_at(when);
  entry->second.timer.async_wait(
      [weak = std::weak_ptr(timers_), turns = turns_, id](const boost::system::error_code& error) {
        if (error) return;
        if (const auto timers = weak.lock()) timers->expired(id, *turns);
      });
  return id;
}

void AsioScheduler::cancel(TimerId timer) {
  timers_->pending.erase(timer);
}

Now AsioScheduler::now() const {
  return read_clocks();
}

}  // namespace dhub::loop
