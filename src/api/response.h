// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/problem.h"
#include "api/request.h"
#include "base/result.h"
#include "base/time.h"

namespace dhub::api {

// One answer. With a problem, status and body are made of it when the answer is written.
struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<NameValue> headers;
  std::string body;
  std::optional<Problem> problem;
  std::string log;  // for the server's log, never for the client: the cause of a fault of our own
};

[[nodiscard]] Response json_response(std::string body, int status = 200);
// {"message": "..."}
[[nodiscard]] Response message_response(std::string_view message);
// With the headers that belong to its code: Retry-After, X-Should-Retry.
[[nodiscard]] Response error_response(const Error& error);
[[nodiscard]] Response problem_response(Problem problem);

// How a handler answers: called exactly once, from any thread, during the handler or later. Dropped without a call, it
// answers by itself: 503, since a service that stops with calls under way leaves nobody waiting; 500 when an exception
// takes it along.
class Reply {
 public:
  using Maker = std::function<Response()>;
  // Takes what makes the answer, and calls it on a thread of the server.
  using Sink = std::function<void(Maker)>;

  // Takes how long the answer may be held back, what makes it then, and what is to live that long.
  using Hold = std::function<void(Duration, Maker, std::shared_ptr<void>)>;

  explicit Reply(Sink sink, Hold hold = {}) : sink_(std::move(sink)), hold_(std::move(hold)) {}
  Reply(Reply&& other) noexcept
      : sink_(std::exchange(other.sink_, nullptr)), hold_(std::exchange(other.hold_, nullptr)) {}
  Reply& operator=(Reply&&) = delete;
  ~Reply();

  void operator()(Response response);
  // For callers that must be quick: the work of making the answer is left to the server's thread.
  void later(Maker make);
  // Of a handler that waits for something, before it does: without another answer `at_end` makes one after `most`, or
  // as soon as the client has gone. `with` is let go when there is an answer, or nobody left to take one.
  void hold(Duration most, Maker at_end, std::shared_ptr<void> with);

 private:
  Sink sink_;
  Hold hold_;
};

}  // namespace dhub::api
