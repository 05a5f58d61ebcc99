// SPDX-License-Identifier: Apache-2.0
#include "pipeline/findings.h"

#include <fmt/format.h>
#include <utility>

namespace dhub::pipeline {
namespace {

constexpr std::size_t kLongestKey = 128;

// Not in the middle of a UTF-8 sequence.
std::string_view cut(std::string_view text) {
  if (text.size() <= kLongestKey) return text;
  std::size_t length = kLongestKey;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return text.substr(0, length);
}

}  // namespace

std::string pointer_to(std::string_view pointer, std::string_view key) {
  std::string out(pointer);
  out += '/';
  for (const char c : cut(key)) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::string pointer_to(std::string_view pointer, std::size_t index) {
  return fmt::format("{}/{}", pointer, index);
}

void Findings::invalid(std::string pointer, std::string detail) {
  any_invalid_ = true;
  add(std::move(pointer), std::move(detail));
}

void Findings::not_served(std::string pointer, std::string detail) {
  add(std::move(pointer), std::move(detail));
}

void Findings::invalid(std::string pointer, const Error& error) {
  invalid(std::move(pointer), error.message);
}

void Findings::add(std::string pointer, std::string detail) {
  if (!full()) found_.push_back({std::move(pointer), std::move(detail)});
}

Status Findings::status() const {
  if (found_.empty()) return {};
  const char* what = any_invalid_ ? "is not valid" : "asks for something that this release does not serve yet";
  std::string rest;
  if (found_.size() > 1) rest = fmt::format(" ({} more)", found_.size() - 1);
  return fail({any_invalid_ ? ErrorCode::InvalidArgument : ErrorCode::Unsupported,
               fmt::format("The pipeline {}: {}: {}{}", what, found_[0].pointer, found_[0].detail, rest), found_});
}

}  // namespace dhub::pipeline
