// SPDX-License-Identifier: Apache-2.0
#include "api/server.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <utility>

#include "api/docs_page.h"
#include "api/http_session.h"
#include "api/openapi.h"
#include "api/response_writer.h"
#include "base/random.h"

namespace dhub::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kSocketThreads = 2;
constexpr std::size_t kBlockingThreads = 4;
constexpr Duration kAcceptPause = milliseconds(100);

// The connections that are open. Thread-safe; owns them.
class SessionList {
 public:
  void add(const std::shared_ptr<HttpSession>& session) {
    std::lock_guard lock(mutex_);
    sessions_.emplace(session.get(), session);
  }
  void remove(HttpSession& session) {
    std::lock_guard lock(mutex_);
    sessions_.erase(&session);
    if (sessions_.empty()) empty_.notify_all();
  }
  [[nodiscard]] std::size_t size() const {
    std::lock_guard lock(mutex_);
    return sessions_.size();
  }
  template <typename F>
  void for_each(const F& function) const {
    std::lock_guard lock(mutex_);
    for (const auto& [key, session] : sessions_) function(*session);
  }
  void wait_until_empty(Duration most) {
    std::unique_lock lock(mutex_);
    empty_.wait_for(lock, most, [&] { return sessions_.empty(); });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::map<HttpSession*, std::shared_ptr<HttpSession>> sessions_;
};

std::string make_url(const std::string& host, std::uint16_t port) {
  // Nobody can connect to "any address"; this machine is what it means here.
  if (host == "0.0.0.0") return fmt::format("http://127.0.0.1:{}", port);
  if (host == "::") return fmt::format("http://[::1]:{}", port);
  if (host.find(':') != std::string::npos) return fmt::format("http://[{}]:{}", host, port);
  return fmt::format("http://{}:{}", host, port);
}

Description describe(const std::string& version) {
  Description description;
  description.openapi = openapi_document(route_table(), version);
  description.docs = docs_page(description.openapi);
  return description;
}

}  // namespace

struct Server::Parts {
  Parts(ServerOptions wanted, Services given)
      : options(std::move(wanted)),
        services(std::move(given)),
        description(describe(options.version)),
        context{services, options, draining, description},
        admission(options, route_table()),
        metrics(services.metrics, route_table()),
        trace_prefix(secret_hex(8)),
        environment{options,
                    context,
                    admission,
                    metrics,
                    std::make_shared<Gate>(),
                    [this] { return fmt::format("{}{:016x}", trace_prefix, ++requests); },
                    [this](Waits what, std::function<void()> task) {
                      return run_blocking(what == Waits::ForCluster ? cluster_calls : store_calls, std::move(task));
                    }} {}

  Status listen();
  void accept();
  void on_accept(const error_code& error, Socket socket);
  struct BlockingCalls {
    std::atomic<std::size_t> count{0};
    asio::thread_pool threads{kBlockingThreads};
  };
  bool run_blocking(BlockingCalls& calls, std::function<void()> task);
  void stop(Duration deadline);

  const ServerOptions options;
  const Services services;
  std::atomic<bool> draining{false};
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> requests{0};
  const Description description;
  const HandlerContext context;
  const Admission admission;
  HttpMetrics metrics;
  const std::string trace_prefix;
  SessionEnvironment environment;
  std::string url;
  std::mutex stop_mutex;
  bool stopped = false;

  asio::thread_pool io{kSocketThreads};
  SessionList sessions;  // before its context goes, the connections do
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_pause{io};
  BlockingCalls store_calls;
  BlockingCalls cluster_calls;
};

Status Server::Parts::listen() {
  const auto unavailable = [&](const error_code& error) {
    return fail(ErrorCode::Unavailable, fmt::format("Cannot listen on {}:{}: {}. Choose another with --listen.",
                                                    options.host, options.port, error.message()));
  };
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty())
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' is not an address to listen on: {}.", options.host, error.message()));
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return unavailable(error);
  const tcp::endpoint bound = acceptor.local_endpoint(error);
  if (error) return unavailable(error);
  url = make_url(options.host, bound.port());
  return {};
}

void Server::Parts::accept() {
  acceptor.async_accept(asio::make_strand(io),
                        [this](const error_code& error, Socket socket) { on_accept(error, std::move(socket)); });
}

void Server::Parts::on_accept(const error_code& error, Socket socket) {
  if (stopping || error == asio::error::operation_aborted) return;
  if (error) {
    // Out of descriptors, mostly: pause, or this would spin until some are free.
    services.logger.warn("a connection cannot be accepted", {{"cause", error.message()}});
    accept_pause.expires_after(kAcceptPause);
    accept_pause.async_wait([this](const error_code& aborted) {
      if (!aborted && !stopping) accept();
    });
    return;
  }
  if (sessions.size() >= options.limits.connections) {
    std::string refusal;
    append_answer(refusal, error_response({ErrorCode::Unavailable, "Too many connections (limit `connections`).", {}}),
                  {.trace_id = environment.new_trace_id(), .close = true, .now = services.clock().wall});
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(refusal), ignored);
  } else {
    const auto session = std::make_shared<HttpSession>(std::move(socket), environment, [this](HttpSession& closed) {
      sessions.remove(closed);
      metrics.set_connections(sessions.size());
    });
    sessions.add(session);
    metrics.set_connections(sessions.size());
    session->start();
    if (stopping) session->drain();
  }
  accept();
}

bool Server::Parts::run_blocking(BlockingCalls& calls, std::function<void()> task) {
  if (calls.count.fetch_add(1) >= options.limits.blocking_calls) {
    --calls.count;
    return false;
  }
  asio::post(calls.threads, [&calls, task = std::move(task)] {
    task();
    --calls.count;
  });
  return true;
}

void Server::Parts::stop(Duration deadline) {
  std::lock_guard lock(stop_mutex);
  if (std::exchange(stopped, true)) return;
  draining = true;
  stopping = true;
  asio::post(io, [this] {
    error_code ignored;
    acceptor.close(ignored);
    accept_pause.cancel();
  });
  sessions.for_each([](HttpSession& session) { session.drain(); });
  sessions.wait_until_empty(deadline);
  // From here on answers go nowhere, so that nothing is posted to what is about to end.
  environment.gate->close();
  for (BlockingCalls* calls : {&store_calls, &cluster_calls}) calls->threads.stop();
  for (BlockingCalls* calls : {&store_calls, &cluster_calls}) calls->threads.join();
  io.stop();
  io.join();
}

Result<std::unique_ptr<Server>> Server::create(ServerOptions options, Services services) {
  auto parts = std::make_unique<Parts>(std::move(options), std::move(services));
  RETURN_IF_ERROR(parts->listen());
  parts->accept();
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  stop(Duration{0});
}

const std::string& Server::url() const {
  return parts_->url;
}

void Server::drain() {
  parts_->draining = true;
}

void Server::stop(Duration deadline) {
  parts_->stop(deadline);
}

}  // namespace dhub::api
