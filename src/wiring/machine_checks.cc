// SPDX-License-Identifier: Apache-2.0
#include "wiring/machine_checks.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <signal.h>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "backend/local/spawn.h"
#include "cli/connection.h"
#include "cli/http_client.h"
#include "store/sqlite/store.h"

namespace dhub::wiring {
namespace {

constexpr Duration kPatience = std::chrono::seconds(5);
constexpr std::uint64_t kScarceSpace = 1ULL << 30;
constexpr WallTime kEarliestNow{1'704'067'200'000};  // 2024-01-01: the program is younger
constexpr Duration kClockSlack = std::chrono::minutes(1);

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// The directory itself, or the nearest one above it that is there.
std::filesystem::path nearest_existing(const std::string& directory) {
  std::error_code ec;
  std::filesystem::path at(directory);
  while (!std::filesystem::exists(at, ec) && at.has_relative_path()) at = at.parent_path();
  return at;
}

// What `descriptor` says until its end; none when it does not end within the patience.
std::optional<std::string> read_to_end(int descriptor) {
  constexpr std::size_t kMost = 4096;
  const Instant deadline = read_clocks().mono + kPatience;
  std::string text;
  while (text.size() < kMost) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - read_clocks().mono).count();
    pollfd waiting{descriptor, POLLIN, 0};
    if (left <= 0 || (::poll(&waiting, 1, static_cast<int>(left)) < 0 && errno != EINTR)) return std::nullopt;
    if (waiting.revents == 0) continue;
    char buffer[256];
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

// "3.11.2"; empty when the interpreter does not answer with one.
std::string version_of(const std::string& interpreter) {
  constexpr const char* kProgram = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const Descriptor out(ends[0]);
  Descriptor in(ends[1]);
  const auto pid = local::spawn_process({interpreter, "-I", "-S", "-c", kProgram}, {{in.get(), 1}});
  if (!pid) return {};
  in.reset();
  std::string text = read_to_end(out.get()).value_or("");
  ::kill(*pid, SIGKILL);
  while (::waitpid(*pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  text.erase(text.find_last_not_of(" \r\n") + 1);
  return text.find_first_not_of("0123456789.") == std::string::npos ? text : std::string();
}

bool is_served_version(std::string_view version) {
  int major = 0;
  int minor = 0;
  const char* const end = version.data() + version.size();
  const auto dot = std::from_chars(version.data(), end, major);
  if (dot.ptr == end) return false;
  std::from_chars(dot.ptr + 1, end, minor);
  return major > 3 || (major == 3 && minor >= 9);
}

}  // namespace

std::optional<bool> is_locked(const std::string& directory) {
  const Descriptor file(::open((directory + "/lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return errno == ENOENT ? std::optional(false) : std::nullopt;
  // Shared and let go of at once; only a server that starts in this very moment could be turned away by it.
  if (::flock(file.get(), LOCK_SH | LOCK_NB) == 0) return false;
  return errno == EWOULDBLOCK ? std::optional(true) : std::nullopt;
}

DoctorCheck check_data_directory(const std::string& directory) {
  DoctorCheck check{"data directory"};
  std::error_code ec;
  const std::filesystem::path nearest = nearest_existing(directory);
  const bool there = nearest == std::filesystem::path(directory);
  const bool usable = std::filesystem::is_directory(nearest, ec) && ::access(nearest.c_str(), R_OK | W_OK | X_OK) == 0;
  if (usable) {
    check.detail = there ? directory : fmt::format("{} is not there yet; the first start makes it", directory);
    if (there && is_locked(directory) == std::optional(true)) check.detail += ", in use by a running server";
    return check;
  }
  check.state = CheckState::Fail;
  check.detail = fmt::format("{} cannot be written by user {}", nearest.string(), ::geteuid());
  check.action = there ? "Run this as the user of the server, or change the owner of the directory."
                       : fmt::format("Make {} for the user of the server, or choose another with --data.", directory);
  return check;
}

std::optional<DoctorCheck> check_free_space(const std::string& directory) {
  std::error_code ec;
  const auto space = std::filesystem::space(nearest_existing(directory), ec);
  if (ec) return std::nullopt;
  const std::uint64_t reserve = store::StoreOptions{}.disk_reserve_bytes;
  DoctorCheck check{"free space"};
  check.detail = fmt::format("{} MiB", space.available >> 20);
  if (space.available >= kScarceSpace) return check;
  check.state = space.available < reserve ? CheckState::Fail : CheckState::Warn;
  check.action = fmt::format("Free space on this disk; below {} publishing answers 507.", size_to_string(reserve));
  return check;
}

DoctorCheck check_python(const std::string& interpreter) {
  DoctorCheck check{"python"};
  const std::string version = version_of(interpreter);
  check.detail = fmt::format("{} {}", interpreter, version.empty() ? "cannot be run" : "is " + version);
  if (is_served_version(version)) return check;
  check.state = CheckState::Fail;
  check.action = "Install Python 3.9 or newer there, or name another with python.interpreter.";
  return check;
}

DoctorCheck check_server(const std::string& directory) {
  DoctorCheck check{"server"};
  const bool locked = is_locked(directory).value_or(false);
  const auto connection = cli::find_connection({{}, {}, directory}, {});
  if (!connection && connection.error().exit == cli::ExitCode::Unreachable) {
    check.detail =
        locked ? "starting or ending: it holds the data directory and does not say where it listens" : "not running";
    if (locked) check.state = CheckState::Warn;
    return check;
  }
  if (!connection)
    return {"server", CheckState::Warn, connection.error().detail, "Run this as the user of the server."};
  cli::HttpRequest request;
  request.url = connection->url + "/readyz";
  request.timeout = kPatience;
  const auto reply = cli::HttpClient().send(request);
  if (reply && reply->status == 200) {
    check.detail = "ready at " + connection->url;
  } else if (reply) {
    check.state = CheckState::Warn;
    check.detail = fmt::format("{} answers {}: it is not ready", connection->url, reply->status);
    check.action = fmt::format("Ask {}/readyz?verbose, and look into its log.", connection->url);
  } else if (locked) {
    check.state = CheckState::Fail;
    check.detail = fmt::format("a server holds the data directory, but {} does not answer", connection->url);
    check.action = "Look into its log; end it and start it again if it hangs.";
  } else {
    check.state = CheckState::Warn;
    check.detail = "not running, and it did not end cleanly";
    check.action = "Start it: it goes on where it stood.";
  }
  return check;
}

DoctorCheck check_clock(WallTime now, std::optional<WallTime> newest_write) {
  DoctorCheck check{"clock"};
  check.detail = to_rfc3339(now);
  const bool wrong = now < kEarliestNow;
  const auto slack = std::chrono::duration_cast<std::chrono::milliseconds>(kClockSlack).count();
  const bool went_back = newest_write && newest_write->ms > now.ms + slack;
  if (!wrong && !went_back) return check;
  check.state = wrong ? CheckState::Fail : CheckState::Warn;
  if (went_back) check.detail += fmt::format(", but the store was written at {}", to_rfc3339(*newest_write));
  check.action = "Set the clock of this machine, with NTP for example.";
  return check;
}

std::optional<WallTime> newest_write_of_store(const std::string& directory) {
  std::optional<WallTime> newest;
  for (const char* name : {"/store.db", "/store.db-wal"}) {
    struct stat status = {};
    if (::stat((directory + name).c_str(), &status) != 0) continue;
    const WallTime written{status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1'000'000};
    newest = std::max(newest, std::optional(written));
  }
  return newest;
}

}  // namespace dhub::wiring
