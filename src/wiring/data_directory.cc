// SPDX-License-Identifier: Apache-2.0
#include "wiring/data_directory.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/version.h"
#include "cli/json_text.h"

namespace dhub::wiring {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kLeastTokenLength = 32;
constexpr std::size_t kMostTokenLength = 512;

// Closes at the end of its life; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> system_failure(const std::string& what, const std::string& path) {
  const int cause = errno;
  return fail(cause == ENOSPC || cause == EDQUOT ? ErrorCode::StorageFull : ErrorCode::Unavailable,
              fmt::format("{} {}: {}.", what, path, std::strerror(cause)));
}

Status write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_failure("cannot write", path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status sync_directory(const std::string& directory) {
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || ::fsync(opened.get()) != 0) return system_failure("cannot sync", directory);
  return {};
}

// Whole or not at all, durable: written beside it under another name, then renamed.
Status replace_file(const std::string& directory, const std::string& name, std::string_view content, mode_t mode) {
  const std::string path = directory + '/' + name;
  const std::string draft = path + ".new";
  if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return system_failure("cannot remove", draft);
  const Descriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (file.get() < 0) return system_failure("cannot create", draft);
  RETURN_IF_ERROR(write_all(file.get(), content, draft));
  if (::fsync(file.get()) != 0) return system_failure("cannot sync", draft);
  if (::rename(draft.c_str(), path.c_str()) != 0) return system_failure("cannot rename", draft);
  return sync_directory(directory);
}

bool is_token(std::string_view text) {
  for (const char c : text)
    if (c <= ' ' || c >= 0x7f) return false;
  return text.size() >= kLeastTokenLength && text.size() <= kMostTokenLength;
}

Result<std::string> read_token(int fd, const std::string& path) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return system_failure("cannot read", path);
  if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0)
    return fail(ErrorCode::Conflict,
                fmt::format("{} can be read by other users of this machine, so it is no secret. Delete it to get a new "
                            "token at the next start, or chmod 600 it if nobody saw it.",
                            path));
  std::string text(kMostTokenLength + 2, '\0');
  const ssize_t got = ::read(fd, text.data(), text.size());
  if (got < 0) return system_failure("cannot read", path);
  text.resize(static_cast<std::size_t>(got));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  if (!is_token(text))
    return fail(
        ErrorCode::Conflict,
        fmt::format("{} does not hold a token of at least {} characters on one line. Delete it to get a new one "
                    "at the next start.",
                    path, kLeastTokenLength));
  return text;
}

}  // namespace

Result<AdminToken> ensure_admin_token(const std::string& directory) {
  AdminToken token{{}, directory + "/admin-token", false};
  const Descriptor file(::open(token.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() >= 0) {
    ASSIGN_OR_RETURN(token.token, read_token(file.get(), token.path));
    return token;
  }
  if (errno != ENOENT) return system_failure("cannot open", token.path);
  token.token = secret_hex(kTokenBytes);
  token.made = true;
  RETURN_IF_ERROR(replace_file(directory, "admin-token", token.token + '\n', 0600));
  return token;
}

Status write_server_file(const std::string& directory, const std::string& url) {
  const std::string content = fmt::format("{{\"url\": {}, \"pid\": {}, \"version\": {}}}\n",
                                          cli::quote_json(url_for_clients(url)), ::getpid(), cli::quote_json(kVersion));
  return replace_file(directory, "server.json", content, 0600);
}

void remove_server_file(const std::string& directory) {
  ::unlink((directory + "/server.json").c_str());
}

std::string url_for_clients(const std::string& url) {
  for (const auto& [any, loopback] : {std::pair{"://0.0.0.0:", "://127.0.0.1:"}, {"://[::]:", "://[::1]:"}})
    if (const auto at = url.find(any); at != std::string::npos)
      return url.substr(0, at) + loopback + url.substr(at + std::string_view(any).size());
  return url;
}

}  // namespace dhub::wiring
