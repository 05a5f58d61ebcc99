// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/admission.h"
#include "api/handler.h"
#include "api/http_metrics.h"
#include "api/request_reader.h"
#include "base/guarded.h"

namespace dhub::api {

// Only http_session.cc and server.cc include this: it brings Asio along.

using Strand = boost::asio::strand<boost::asio::thread_pool::executor_type>;
using Socket = boost::asio::ip::tcp::socket::rebind_executor<Strand>::other;

// Is there still a server to answer through? Shared with every Reply, because a reply may come after the server's end.
class Gate {
 public:
  template <typename F>
  void if_open(F&& function) {
    open_.with([&](bool open) {
      if (open) function();
    });
  }
  void close() {
    open_.with([](bool& open) { open = false; });
  }

 private:
  Guarded<bool> open_{true};
};

// What all connections of a server share; outlives them.
struct SessionEnvironment {
  const ServerOptions& options;
  const HandlerContext& context;
  const Admission& admission;
  HttpMetrics& metrics;
  std::shared_ptr<Gate> gate;  // shared: see Gate
  std::function<std::string()> new_trace_id;
  std::function<bool(Waits, std::function<void()>)> run_blocking;  // false: too much is waiting already
};

// One connection: reads a request, has it handled, writes the answer, in turn. Everything runs on its strand; only
// start, drain and close may be called from elsewhere. Bytes are read ahead only while nothing is being handled, so a
// client that sends without reading is held back by its own socket; while an answer is held back one read tells whether
// the client has gone. While a handler waits nothing refers to the session but the server's list, which therefore owns
// it (shared: so do the operations that are under way).
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  using Closed = std::function<void(HttpSession&)>;  // called once, on the strand

  HttpSession(Socket socket, SessionEnvironment& environment, Closed closed);

  void start();
  // Closes when the request that has begun is answered; at once when none has.
  void drain();
  void close();

 private:
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, Strand>;
  using SystemError = boost::system::error_code;
  enum class Phase { Idle, Head, Body, Handling, Lingering, Closed };

  // What is needed of a request after its handler has taken it.
  struct Exchange {
    const Route* route = nullptr;
    Method method = Method::Other;
    std::string path;
    std::string trace_id;
    Instant begun{};
  };

  // Of a handler that waits for something.
  struct Hold {
    Instant until{};
    Reply::Maker at_end;
    std::shared_ptr<void> with;  // shared: the handler may be putting something into it
  };
  void hold(std::uint64_t ticket, Hold what);

  void read();
  void on_read(const SystemError& error, std::size_t bytes);
  void advance();
  bool advance_once();
  void on_head();
  void on_request();
  void run_handler(Request request);
  [[nodiscard]] Reply make_reply();
  void finish(std::uint64_t ticket, const Reply::Maker& make);
  void end_hold();
  void answer(const Response& response, bool close_after);
  void record(const Response& response);
  void flush();
  void on_written(const SystemError& error);
  void enter(Phase phase);
  void arm_timer();
  void on_timer();
  void linger();
  void shut();

  Socket socket_;
  SessionEnvironment& environment_;
  Closed closed_;
  Timer timer_;
  RequestReader reader_;
  std::vector<char> input_;
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;
  std::string output_;   // made, not yet handed to the socket
  std::string sending_;  // being written
  Exchange exchange_;
  std::optional<Response> refusal_;
  std::optional<Hold> hold_;
  std::uint64_t ticket_ = 0;  // of the request that is handled; an answer to another one is dropped
  Phase phase_ = Phase::Idle;
  bool reading_ = false;
  bool writing_ = false;
  bool advancing_ = false;
  bool draining_ = false;
  bool close_after_ = false;  // the last answer is made
  std::optional<Instant> read_deadline_;
  std::optional<Instant> write_deadline_;
  std::optional<Instant> armed_;
  std::size_t lingered_ = 0;
};

}  // namespace dhub::api
