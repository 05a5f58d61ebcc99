// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "cli/connection.h"
#include "cli/failure.h"
#include "cli/http_client.h"

namespace dhub::cli {

// One call of the REST interface.
struct Call {
  std::string method = "GET";
  std::vector<std::string> path;  // segments below /api/v1; encoded here
  std::vector<std::pair<std::string, std::string>> query = {};
  std::optional<std::string> body = {};
  std::string content_type = "application/json";
  std::string next_on_not_found = {};  // what to try when the server answers 404 ...
  std::string next_on_conflict = {};   // ... or 409
  Duration wait = {};                  // how much longer than usual the server may take to answer
};

struct ApiReply {
  int status = 0;
  std::map<std::string, std::string> headers;
  boost::json::value body;  // null when the reply has none
  std::string text;         // the body as it came: numbers in it may be larger than a value can hold
};

// Calls one server. Blocks; one thread. Every failure comes back as what the user is to be told; nothing is retried.
class ApiClient {
 public:
  ApiClient(Connection connection, Duration timeout);

  Answer<ApiReply> call(const Call& call);
  [[nodiscard]] const Connection& connection() const { return connection_; }

 private:
  [[nodiscard]] Failure unreachable(const HttpFailure& failure) const;
  [[nodiscard]] Failure refused(const HttpReply& reply, const Call& call) const;

  Connection connection_;
  Duration timeout_;
  HttpClient http_;
};

}  // namespace dhub::cli
