// SPDX-License-Identifier: Apache-2.0
#include "api/response.h"

#include <exception>

#include "api/json.h"
#include "base/check.h"

namespace dhub::api {

Response json_response(std::string body, int status) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Response message_response(std::string_view message) {
  return json_response(JsonWriter().begin_object().field("message", message).end_object().take());
}

Response problem_response(Problem problem) {
  Response response;
  response.status = problem.status;
  if (problem.status == 503 || problem.status == 507) response.headers.emplace_back("Retry-After", "1");
  response.problem = std::move(problem);
  return response;
}

Response error_response(const Error& error) {
  Response response = problem_response(problem_of(error));
  if (is_our_fault(error.code)) response.log = error.message;
  // A 5xx that only a change of the pipeline can cure: clients that retry every 5xx are told not to.
  if (error.code == ErrorCode::EventOptionMissing) response.headers.emplace_back("X-Should-Retry", "false");
  return response;
}

Reply::~Reply() {
  if (!sink_) return;
  later([thrown = std::uncaught_exceptions() > 0] {
    if (thrown)
      return problem_response(problem_of({ErrorCode::Internal, {}, {}}));  // whoever catches it logs the cause
    return error_response({ErrorCode::Cancelled, "The server stopped before this was done; send it again.", {}});
  });
}

void Reply::operator()(Response response) {
  later([response = std::move(response)]() mutable { return std::move(response); });
}

void Reply::later(Maker make) {
  CHECK(sink_ != nullptr);
  std::exchange(sink_, nullptr)(std::move(make));
}

void Reply::hold(Duration most, Maker at_end, std::shared_ptr<void> with) {
  if (hold_) hold_(most, std::move(at_end), std::move(with));
}

}  // namespace dhub::api
