// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/request.h"
#include "base/result.h"
#include "base/time.h"

namespace dhub::api {

// Reads the query of a request and collects everything that is wrong with it: parameters that the route does not know,
// that stand there twice, or whose value is not what it should be. What cannot be read is answered as if absent.
class QueryReader {
 public:
  static constexpr std::size_t kUsualPage = 50;
  static constexpr std::int64_t kLargestPage = 500;

  explicit QueryReader(const Request& request);

  [[nodiscard]] std::optional<std::string> text(std::string_view name);
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  // "true" or "false"; absent is false.
  [[nodiscard]] bool flag(std::string_view name);
  [[nodiscard]] std::optional<Duration> duration(std::string_view name, Duration most);
  // Index of the value among `known`.
  [[nodiscard]] std::optional<std::size_t> choice(std::string_view name, std::span<const std::string_view> known);
  [[nodiscard]] std::size_t limit();
  // Answers the unsigned number that a token of a list over numbers is; 0 when there is none.
  [[nodiscard]] std::int64_t number_token();

  void wrong(std::string_view name, std::string detail);
  // InvalidArgument with one entry ("?name") for each thing that is wrong.
  [[nodiscard]] Status status() const;

 private:
  const Request& request_;
  std::vector<FieldError> errors_;
};

}  // namespace dhub::api
