// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include "base/utf8.h"

namespace dhub {
namespace {

// Keeps a line about within what a pipe takes at once (4 KiB), whatever somebody put into an error.
constexpr std::size_t kMostValueBytes = 1024;

const char* to_string(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warn:
      return "warn";
    case LogLevel::Error:
      return "error";
  }
  return "error";
}

// The inside of a quoted value; the escapes are JSON's, which logfmt readers take too. Bytes that are not UTF-8 become
// U+FFFD in either format, so that a reader of JSON lines never meets a line that it must refuse.
void append_escaped(std::string& out, std::string_view text) {
  const bool cut = text.size() > kMostValueBytes;
  text = text.substr(0, kMostValueBytes);
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    if (!next.valid) {
      out += "\\ufffd";
    } else if (next.value == '"' || next.value == '\\') {
      out += '\\';
      out += static_cast<char>(next.value);
    } else if (next.value == '\n') {
      out += "\\n";
    } else if (next.value == '\t') {
      out += "\\t";
    } else if (is_control(next.value)) {
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(next.value));
    } else {
      out += next.bytes;
    }
  }
  if (cut) out += "...";
}

bool is_plain(std::string_view text) {
  if (text.empty() || text.size() > kMostValueBytes) return false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

void append_pair(std::string& out, LogFormat format, std::string_view key, std::string_view value) {
  if (format == LogFormat::Json) {
    out += out.empty() ? "{\"" : ",\"";
    append_escaped(out, key);
    out += "\":\"";
    append_escaped(out, value);
    out += '"';
    return;
  }
  if (!out.empty()) out += ' ';
  out += key;
  out += '=';
  if (is_plain(value)) {
    out += value;
    return;
  }
  out += '"';
  append_escaped(out, value);
  out += '"';
}

// False on anything but success: what was refused is counted, never tried again later.
bool write_all(int descriptor, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(descriptor, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  if (text == "debug") return LogLevel::Debug;
  if (text == "info") return LogLevel::Info;
  if (text == "warn") return LogLevel::Warn;
  if (text == "error") return LogLevel::Error;
  return fail(ErrorCode::InvalidArgument,
              fmt::format("'{}' is not a log level; use debug, info, warn or error.", text.substr(0, 64)));
}

Result<LogFormat> parse_log_format(std::string_view text) {
  if (text == "logfmt") return LogFormat::Logfmt;
  if (text == "json") return LogFormat::Json;
  return fail(ErrorCode::InvalidArgument,
              fmt::format("'{}' is not a log format; use logfmt or json.", text.substr(0, 64)));
}

std::string format_log_line(LogFormat format, WallTime at, LogLevel level, std::string_view message,
                            const std::vector<LogField>& fields) {
  std::string line;
  append_pair(line, format, "ts", to_rfc3339(at));
  append_pair(line, format, "level", to_string(level));
  append_pair(line, format, "msg", message);
  for (const LogField& field : fields) append_pair(line, format, field.key, field.value);
  if (format == LogFormat::Json) line += '}';
  return line;
}

Logger::Logger(LogFormat format, LogLevel least, Sink sink)
    : format_(format), least_(least), output_(Output{std::move(sink), 0}) {}

void Logger::log(LogLevel level, std::string_view message, const std::vector<LogField>& fields) {
  if (!enabled(level)) return;
  const WallTime at = read_clocks().wall;
  const std::string line = format_log_line(format_, at, level, message, fields) + '\n';
  output_.with([&](Output& output) {
    if (output.untold > 0) {
      const std::string told =
          format_log_line(format_, at, LogLevel::Warn, "log lines were dropped because nobody read them",
                          {{"count", std::to_string(output.untold)}}) +
          '\n';
      if (output.sink(told)) output.untold = 0;
    }
    if (output.untold == 0 && output.sink(line)) return;
    ++output.untold;
    dropped_.fetch_add(1, std::memory_order_relaxed);
  });
}

Logger::Sink descriptor_sink(int descriptor) {
  return [descriptor, stuck = false](std::string_view line) mutable {
    pollfd waiting{descriptor, POLLOUT, 0};
    const int ready = ::poll(&waiting, 1, stuck ? 0 : 50);
    stuck = ready == 0;
    return ready > 0 && write_all(descriptor, line);
  };
}

}  // namespace dhub
