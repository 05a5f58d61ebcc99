// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"

namespace dhub::cli {

// Why a verb failed, as the user is told: `error: title: detail`, the wrong fields, and the next command to try.
struct Failure {
  ExitCode exit = ExitCode::Failed;
  std::string title;
  std::string detail;
  std::string code;                // the server's stable word for it; empty when it is not the server's
  std::vector<FieldError> fields;  // pointers into the body that was sent
  std::string next;                // what to try; empty when there is nothing better to say
  int status = 0;                  // of the reply; 0 when there was none
};

template <typename T>
using Answer = tl::expected<T, Failure>;

[[nodiscard]] inline tl::unexpected<Failure> failed(ExitCode exit, std::string title, std::string detail,
                                                    std::string next = {}) {
  return tl::unexpected<Failure>(Failure{exit, std::move(title), std::move(detail), {}, {}, std::move(next), 0});
}

// For standard error; ends with a newline. Whatever came from a server is made printable.
[[nodiscard]] std::string render(const Failure& failure);

}  // namespace dhub::cli
