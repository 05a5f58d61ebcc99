// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dhub::api {

// A refusal as RFC 9457 wants it; the request adds `instance` and `trace_id` when it is written.
struct Problem {
  int status = 500;
  std::string code = "internal";  // stable; docs/specs/problems.md lists them
  std::string title;
  std::string detail;
  std::vector<FieldError> errors = {};
  std::string more = {};  // further members, as JSON text: `"checks":[...]`
};

// Status, code and title of each ErrorCode are in one table. Faults of our own (Internal, Corruption, Fenced) get a
// fixed detail: their message is for the log.
[[nodiscard]] Problem problem_of(const Error& error);

// A problem that has no ErrorCode: what is refused before a handler is asked.
[[nodiscard]] Problem make_problem(int status, std::string code, std::string detail);

// True when the client is to be told nothing of the cause, and the log everything.
[[nodiscard]] bool is_our_fault(ErrorCode code);

[[nodiscard]] std::string to_json(const Problem& problem, std::string_view instance, std::string_view trace_id);

[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace dhub::api
