// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "base/time.h"

namespace dhub {

enum class LogLevel { Debug, Info, Warn, Error };
enum class LogFormat { Logfmt, Json };

[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view text);
[[nodiscard]] Result<LogFormat> parse_log_format(std::string_view text);

// Keys are fixed words of the program (snake_case); values may come from users and are escaped.
struct LogField {
  std::string_view key;
  std::string value;
};

// One line, without the newline: `ts=... level=info msg="..." key=value`, or a JSON object with the same keys. Control
// characters and bytes that are not UTF-8 are escaped, so that no value can forge a line or drive a terminal;
// values are cut at 1 KiB.
[[nodiscard]] std::string format_log_line(LogFormat format, WallTime at, LogLevel level, std::string_view message,
                                          const std::vector<LogField>& fields);

// Writes the log of one process, a line at a time. Thread-safe. Never fails: a line that cannot be written is counted,
// and the count is logged when writing works again.
class Logger {
 public:
  // Takes a whole line with its newline; false when it was not written. Called by one thread at a time.
  using Sink = std::function<bool(std::string_view line)>;

  Logger(LogFormat format, LogLevel least, Sink sink);
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  void log(LogLevel level, std::string_view message, const std::vector<LogField>& fields = {});
  void debug(std::string_view message, const std::vector<LogField>& fields = {}) {
    log(LogLevel::Debug, message, fields);
  }
  void info(std::string_view message, const std::vector<LogField>& fields = {}) {
    log(LogLevel::Info, message, fields);
  }
  void warn(std::string_view message, const std::vector<LogField>& fields = {}) {
    log(LogLevel::Warn, message, fields);
  }
  void error(std::string_view message, const std::vector<LogField>& fields = {}) {
    log(LogLevel::Error, message, fields);
  }
  [[nodiscard]] bool enabled(LogLevel level) const { return level >= least_; }
  // Lines that could not be written so far.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Output {
    Sink sink;
    std::uint64_t untold = 0;  // dropped since the last line that was written
  };
  const LogFormat format_;
  const LogLevel least_;
  std::atomic<std::uint64_t> dropped_{0};
  Guarded<Output> output_;
};

// Writes to a descriptor. Waits at most 50 ms for a reader that does not read, and then not at all until it does: a
// stuck terminal or pipe must not stop the delivery of events.
[[nodiscard]] Logger::Sink descriptor_sink(int descriptor);

}  // namespace dhub
