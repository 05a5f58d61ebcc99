// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "api/response.h"
#include "base/time.h"

namespace dhub::api {

// What an answer needs to know of the request it answers.
struct AnswerFrame {
  std::string_view instance{};  // path of the request; empty when it could not be read
  std::string_view trace_id{};
  bool head_only = false;  // HEAD: headers as for GET, and no body
  bool http_1_0 = false;
  bool close = false;
  WallTime now{};
};

// Appends the whole answer, status line to body, to `out`: one buffer, one write. A problem becomes its JSON here.
void append_answer(std::string& out, const Response& response, const AnswerFrame& frame);

}  // namespace dhub::api
