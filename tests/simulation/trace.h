// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace dhub::simulation {

// What has happened, as lines: a hash over all of them, and the last ones for whoever has to find out why.
class Trace {
 public:
  static constexpr std::size_t kKept = 400;

  void note(std::string line) {
    for (const char c : line) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    hash_ = (hash_ ^ '\n') * 0x100000001b3ULL;
    ++lines_;
    last_.push_back(std::move(line));
    if (last_.size() > kKept) last_.pop_front();
  }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  [[nodiscard]] std::string last() const {
    std::string text;
    for (const auto& line : last_) text += line + "\n";
    return text;
  }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;  // FNV-1a
  std::uint64_t lines_ = 0;
  std::deque<std::string> last_;
};

}  // namespace dhub::simulation
