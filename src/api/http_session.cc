// SPDX-License-Identifier: Apache-2.0
#include "api/http_session.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <fmt/format.h>
#include <utility>

#include "api/response_writer.h"

namespace dhub::api {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kReadBytes = 16 << 10;
constexpr std::size_t kMostUnsent = 256 << 10;  // of answers to pipelined requests, before more is handled
constexpr std::size_t kLargeBody = 64 << 10;    // takes long enough to read to be no work for a socket's thread
constexpr Duration kLinger = std::chrono::seconds(2);
constexpr std::size_t kMostLingered = 64 << 20;

}  // namespace

HttpSession::HttpSession(Socket socket, SessionEnvironment& environment, Closed closed)
    : socket_(std::move(socket)),
      environment_(environment),
      closed_(std::move(closed)),
      timer_(socket_.get_executor()),
      reader_(environment.options.limits) {}

void HttpSession::start() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    SystemError ignored;
    self->socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    // A connection that says nothing is not worth more than a request that does not end.
    self->enter(Phase::Head);
    self->read();
  });
}

void HttpSession::drain() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->draining_ = true;
    const bool quiet = !self->reader_.begun() && self->output_.empty() && !self->writing_;
    if (quiet && self->phase_ != Phase::Handling) self->shut();
  });
}

void HttpSession::close() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->shut(); });
}

void HttpSession::read() {
  if (reading_ || phase_ == Phase::Closed) return;
  if (input_begin_ > 0) {
    std::memmove(input_.data(), input_.data() + input_begin_, input_end_ - input_begin_);
    input_end_ -= std::exchange(input_begin_, 0);
  }
  // What is left over is bounded by the reader's limits.
  if (input_.size() - input_end_ < kReadBytes) input_.resize(input_end_ + kReadBytes);
  reading_ = true;
  socket_.async_read_some(
      asio::buffer(input_.data() + input_end_, input_.size() - input_end_),
      [self = shared_from_this()](const SystemError& error, std::size_t bytes) { self->on_read(error, bytes); });
}

void HttpSession::on_read(const SystemError& error, std::size_t bytes) {
  reading_ = false;
  if (phase_ == Phase::Closed) return;
  if (error) {
    // Nothing more comes; what was answered is still sent.
    close_after_ = true;
    if (hold_) return end_hold();
    if (!writing_ && output_.empty()) shut();
    return;
  }
  if (phase_ == Phase::Lingering) {
    lingered_ += bytes;
    return lingered_ > kMostLingered ? shut() : read();
  }
  input_end_ += bytes;
  advance();
}

void HttpSession::advance() {
  advancing_ = true;
  while (advance_once()) {
  }
  advancing_ = false;
  flush();
}

// One step; false when something must happen first: more bytes, an answer, room to send.
bool HttpSession::advance_once() {
  if (phase_ == Phase::Handling || phase_ == Phase::Closed || close_after_ || output_.size() > kMostUnsent)
    return false;
  std::string_view input(input_.data() + input_begin_, input_end_ - input_begin_);
  const ReadState state = reader_.feed(input);
  input_begin_ = input_end_ - input.size();
  switch (state) {
    case ReadState::NeedMore:
      if (!reader_.begun() && phase_ != Phase::Head) enter(Phase::Idle);
      if (reader_.begun() && phase_ == Phase::Idle) enter(Phase::Head);
      if (!reader_.begun() && draining_ && output_.empty() && !writing_)
        shut();
      else
        read();
      return false;
    case ReadState::HeadDone:
      on_head();
      return true;
    case ReadState::Done:
      on_request();
      return true;
    case ReadState::Failed:
      exchange_ = {nullptr, reader_.request().method, reader_.request().path, environment_.new_trace_id(),
                   read_clocks().mono};
      answer(problem_response(reader_.failure()), true);
      return false;
  }
  return false;
}

void HttpSession::on_head() {
  Request& request = reader_.request();
  request.trace_id = environment_.new_trace_id();
  exchange_ = {nullptr, request.method, request.path, request.trace_id, read_clocks().mono};
  refusal_ = environment_.admission.check(request);
  exchange_.route = request.route;
  enter(Phase::Body);
  if (refusal_) reader_.discard_body();
  if (!reader_.expects_continue()) return;
  if (refusal_)
    answer(*std::exchange(refusal_, std::nullopt), true);  // the client keeps its body
  else
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

void HttpSession::on_request() {
  exchange_.begun = read_clocks().mono;
  close_after_ = false;
  if (refusal_)
    answer(*std::exchange(refusal_, std::nullopt), !reader_.keep_alive());
  else
    run_handler(std::move(reader_.request()));
}

void HttpSession::run_handler(Request request) {
  enter(Phase::Handling);
  const Route& route = *request.route;
  const HandlerContext& context = environment_.context;
  const auto call = [&context](const Request& what, Reply reply) {
    try {
      what.route->handler(context, what, std::move(reply));
    } catch (const std::exception& e) {
      // The reply went down with the handler, and has answered.
      context.services.logger.error("a handler failed", {{"trace_id", what.trace_id}, {"cause", e.what()}});
    }
  };
  if (route.waits == Waits::No && request.body.size() <= kLargeBody) return call(request, make_reply());
  struct Task {
    Request request;
    Reply reply;
  };
  // Shared only because std::function wants to be copyable.
  auto task = std::make_shared<Task>(Task{std::move(request), make_reply()});
  if (!environment_.run_blocking(route.waits, [task, call] { call(task->request, std::move(task->reply)); }))
    task->reply(error_response(
        {ErrorCode::Unavailable, "Too many calls are waiting (limit `blocking_calls`); send it again later.", {}}));
}

// The reply may be used on any thread, also when the session or the server is gone: then it is dropped.
Reply HttpSession::make_reply() {
  const auto hold = [gate = environment_.gate, weak = weak_from_this(), ticket = ticket_ + 1](
                        Duration most, Reply::Maker at_end, std::shared_ptr<void> with) {
    gate->if_open([&] {
      const auto self = weak.lock();
      if (!self) return;
      Hold what{read_clocks().mono + most, std::move(at_end), std::move(with)};
      asio::post(self->socket_.get_executor(),
                 [self, ticket, what = std::move(what)]() mutable { self->hold(ticket, std::move(what)); });
    });
  };
  const auto sink = [gate = environment_.gate, weak = weak_from_this(), ticket = ++ticket_](Reply::Maker make) {
    std::shared_ptr<HttpSession> here;
    gate->if_open([&] {
      auto self = weak.lock();
      if (!self) return;
      const auto executor = self->socket_.get_executor();
      if (executor.running_in_this_thread())
        here = std::move(self);
      else
        asio::post(executor, [self, ticket, make = std::move(make)] { self->finish(ticket, make); });
    });
    if (here) here->finish(ticket, make);
  };
  return Reply(sink, hold);
}

void HttpSession::hold(std::uint64_t ticket, Hold what) {
  if (ticket != ticket_ || phase_ != Phase::Handling) return;
  hold_ = std::move(what);
  arm_timer();
  read();
}

void HttpSession::end_hold() {
  const auto held = std::exchange(hold_, std::nullopt);
  if (held) finish(ticket_, held->at_end);
}

void HttpSession::finish(std::uint64_t ticket, const Reply::Maker& make) {
  if (ticket != ticket_ || phase_ != Phase::Handling) return;
  answer(make(), !reader_.keep_alive());
  if (!advancing_) advance();
}

// Ends the request that is being read or handled.
void HttpSession::answer(const Response& response, bool close_after) {
  close_after_ = close_after || draining_;
  append_answer(output_, response,
                {.instance = exchange_.path,
                 .trace_id = exchange_.trace_id,
                 .head_only = exchange_.method == Method::Head,
                 .http_1_0 = reader_.is_http_1_0(),
                 .close = close_after_,
                 .now = environment_.context.services.clock().wall});
  record(response);
  reader_.reset();
  refusal_.reset();
  enter(Phase::Idle);
  hold_.reset();  // last: what goes with it must find this request answered
}

void HttpSession::record(const Response& response) {
  const Duration took = read_clocks().mono - exchange_.begun;
  environment_.metrics.record(exchange_.route, exchange_.method, response.status, took);
  Logger& logger = environment_.context.services.logger;
  if (!response.log.empty())
    logger.error("a request failed", {{"trace_id", exchange_.trace_id}, {"cause", response.log}});
  if (!logger.enabled(LogLevel::Debug)) return;
  logger.debug("request", {{"method", to_string(exchange_.method)},
                           {"path", exchange_.path},
                           {"status", std::to_string(response.status)},
                           {"took", dhub::to_string(took)},
                           {"trace_id", exchange_.trace_id}});
}

void HttpSession::flush() {
  if (writing_ || phase_ == Phase::Closed || phase_ == Phase::Lingering) return;
  if (output_.empty()) {
    if (close_after_ && phase_ != Phase::Handling) linger();
    return;
  }
  writing_ = true;
  write_deadline_ = read_clocks().mono + environment_.options.deadlines.write;
  arm_timer();
  sending_.clear();
  std::swap(sending_, output_);
  asio::async_write(socket_, asio::buffer(sending_),
                    [self = shared_from_this()](const SystemError& error, std::size_t) { self->on_written(error); });
}

void HttpSession::on_written(const SystemError& error) {
  writing_ = false;
  write_deadline_.reset();
  if (phase_ == Phase::Closed) return;
  if (error) return shut();
  if (phase_ == Phase::Handling || close_after_)
    flush();
  else
    advance();
}

void HttpSession::enter(Phase phase) {
  const Deadlines& deadlines = environment_.options.deadlines;
  const Instant now = read_clocks().mono;
  if (phase == Phase::Idle && phase_ == Phase::Idle && read_deadline_) return;
  phase_ = phase;
  read_deadline_.reset();
  if (phase == Phase::Idle) read_deadline_ = now + deadlines.idle;
  if (phase == Phase::Head) read_deadline_ = now + deadlines.head;
  if (phase == Phase::Body) read_deadline_ = now + deadlines.body;
  if (phase == Phase::Lingering) read_deadline_ = now + kLinger;
  arm_timer();
}

// The timer is set anew only when it would ring too late; ringing early costs less than setting it for every request.
void HttpSession::arm_timer() {
  std::optional<Instant> next = read_deadline_;
  if (write_deadline_ && (!next || *write_deadline_ < *next)) next = write_deadline_;
  if (hold_ && (!next || hold_->until < *next)) next = hold_->until;
  if (!next || phase_ == Phase::Closed || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  timer_.expires_at(*next);
  timer_.async_wait([self = shared_from_this()](const SystemError& error) {
    if (!error) self->on_timer();
  });
}

void HttpSession::on_timer() {
  armed_.reset();
  if (phase_ == Phase::Closed) return;
  const Instant now = read_clocks().mono;
  if (write_deadline_ && *write_deadline_ <= now) return shut();
  if (hold_ && hold_->until <= now) return end_hold();
  if (!read_deadline_ || *read_deadline_ > now) return arm_timer();
  if (phase_ != Phase::Body && (phase_ != Phase::Head || !reader_.begun())) return shut();
  if (phase_ == Phase::Head) exchange_ = {nullptr, Method::Other, {}, environment_.new_trace_id(), now};
  answer(problem_response(make_problem(408, "request_timeout", "The request did not arrive in time; send it again.")),
         true);
  flush();
}

// Closing with bytes unread would make the kernel throw the answer away at the other end. So: no more is sent, and what
// still comes is read and dropped, for a while.
void HttpSession::linger() {
  SystemError error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) return shut();
  enter(Phase::Lingering);
  read();
}

void HttpSession::shut() {
  if (std::exchange(phase_, Phase::Closed) == Phase::Closed) return;
  SystemError ignored;
  socket_.close(ignored);
  timer_.cancel();
  hold_.reset();
  if (closed_) std::exchange(closed_, nullptr)(*this);
}

}  // namespace dhub::api
