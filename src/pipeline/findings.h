// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dhub::pipeline {

// `pointer` one step further, escaped by RFC 6901; a very long key is cut.
[[nodiscard]] std::string pointer_to(std::string_view pointer, std::string_view key);
[[nodiscard]] std::string pointer_to(std::string_view pointer, std::size_t index);

// Everything that is wrong with a definition, in the order in which it is found; the first kMostFindings are kept.
class Findings {
 public:
  static constexpr std::size_t kMostFindings = 100;

  void invalid(std::string pointer, std::string detail);
  // Known, but not served in this release.
  void not_served(std::string pointer, std::string detail);
  // For a value that was refused elsewhere.
  void invalid(std::string pointer, const Error& error);

  // Nothing more is kept: whoever walks through many keys may stop.
  [[nodiscard]] bool full() const { return found_.size() == kMostFindings; }
  // InvalidArgument when anything is invalid, else Unsupported when something is not served, with all fields.
  [[nodiscard]] Status status() const;

 private:
  void add(std::string pointer, std::string detail);

  std::vector<FieldError> found_;
  bool any_invalid_ = false;
};

}  // namespace dhub::pipeline
