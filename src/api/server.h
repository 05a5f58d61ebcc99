// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "ports/catalog.h"
#include "ports/event_log.h"
#include "ports/journal.h"
#include "ports/run_archive.h"
#include "service/pipelines.h"
#include "service/triggers.h"

namespace dhub::api {

struct Limits {
  std::uint64_t body = 8ULL << 20;
  std::uint64_t message = 1ULL << 20;  // key, headers and value
  std::uint64_t header = 32ULL << 10;  // request line and headers
  std::uint64_t uri = 8ULL << 10;
  std::size_t headers = 100;
  std::size_t batch = 65'536;          // messages of one publish
  std::size_t connections = 4'096;     // further ones are answered 503 and closed
  std::size_t blocking_calls = 1'024;  // that wait for the store, or for clusters; further ones are answered 503
};

struct Deadlines {
  Duration head = std::chrono::seconds(10);   // from the first byte of a request to the end of its headers
  Duration body = std::chrono::seconds(30);   // from there to the end of its body
  Duration idle = std::chrono::seconds(75);   // between requests
  Duration write = std::chrono::seconds(30);  // until an answer is taken
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0 = any free one
  std::string admin_token;    // empty: no authentication, and only for requests that name this machine as host
  std::string version;
  bool metrics_public = true;
  Limits limits;
  Deadlines deadlines;
};

// One line of /readyz.
struct Check {
  std::string name;
  bool ok = false;
  std::string message;
};

// What the handlers work with. Everything outlives the server.
struct Services {
  Catalog& catalog;
  EventLog& event_log;
  Journal& journal;
  RunArchive& archive;
  service::Triggers& triggers;
  service::Pipelines& pipelines;
  Metrics& metrics;
  Logger& logger;
  std::function<Now()> clock;                       // any thread
  std::function<std::vector<Check>()> readiness{};  // any thread, quick; none: always ready
};

// The HTTP/1.1 side of the program: accepts, checks, routes, answers. Two threads for sockets, four more for calls that
// wait for the store and four for those that may wait for other clusters, which must not keep the others; requests that
// wait for something to happen hold no thread. Listens from create() on; url(), drain() and stop() may be called from
// any thread. Answers that come after stop() are dropped.
class Server {
 public:
  // InvalidArgument when the address cannot be resolved, Unavailable when it cannot be listened on.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(ServerOptions options, Services services);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "http://127.0.0.1:8080", with the port that was taken.
  [[nodiscard]] const std::string& url() const;
  // From now on /readyz answers 503, so that no new work is sent here; everything else goes on.
  void drain();
  // Takes no more connections, finishes the requests that have begun, closes; after `deadline` closes what is left.
  // Idempotent; the destructor stops with a deadline of zero.
  void stop(Duration deadline);

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dhub::api
