// SPDX-License-Identifier: Apache-2.0
#include "backend/local/script_checker.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "backend/local/spawn.h"
#include "base/utf8.h"
#include "wire/bytes.h"

namespace dhub::local {
namespace {

// Says "B <step>" before each script and "E <step> <line> <message>" for what is wrong with it; "D" at the end.
constexpr const char* kProgram = R"(
import sys, warnings
warnings.simplefilter("ignore")
if sys.version_info < (3, 9):
    sys.exit("Python %d.%d is too old; steps need 3.9 or newer" % sys.version_info[:2])
raw, out, at, step = sys.stdin.buffer.read(), sys.stdout.buffer, 0, 0
def say(text):
    out.write((" ".join(text.split()) + "\n").encode("utf-8", "replace"))
    out.flush()
while at < len(raw):
    size = int.from_bytes(raw[at:at + 4], "little")
    script = raw[at + 4:at + 4 + size]
    at += 4 + size
    say("B %d" % step)
    try:
        compile(script.decode("utf-8"), "<step>", "exec", dont_inherit=True)
    except SyntaxError as error:
        say("E %d %d %s" % (step, error.lineno or 0, error.msg))
    except Exception as error:
        say("E %d 0 %s" % (step, error or type(error).__name__))
    step += 1
say("D")
)";
constexpr std::size_t kMostAnswerBytes = 1ULL << 20;

struct Pipes {
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};
  ~Pipes() {
    for (int* fd : {&in[0], &in[1], &out[0], &out[1]}) close(*fd);
  }
  // The way in is a socket, since writing to a pipe that nobody reads would raise a signal.
  bool open() {
    return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in.data()) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0;
  }
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

// Hands `input` to the child and answers what it says, until it ends or the deadline; true when it ended.
bool converse(Pipes& pipes, std::string_view input, Instant deadline, std::string& answer) {
  while (answer.size() < kMostAnswerBytes) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - read_clocks().mono).count();
    if (left <= 0) return false;
    pollfd waiting[2] = {{pipes.out[0], POLLIN, 0}, {pipes.in[1], POLLOUT, 0}};
    if (::poll(waiting, 2, static_cast<int>(left)) < 0 && errno != EINTR) return false;
    if (waiting[1].revents != 0) {
      const ssize_t sent = ::send(pipes.in[1], input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) input.remove_prefix(static_cast<std::size_t>(sent));
      if (input.empty() || (sent < 0 && errno != EAGAIN && errno != EINTR)) Pipes::close(pipes.in[1]);
    }
    if (waiting[0].revents == 0) continue;
    char buffer[4096];
    const ssize_t got = ::read(pipes.out[0], buffer, sizeof buffer);
    if (got <= 0) return got == 0;
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  return false;
}

std::size_t take_number(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::size_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return number;
}

struct Answer {
  std::vector<ScriptError> errors;
  std::optional<std::size_t> last_begun;
  bool complete = false;
};

Answer parse(std::string_view text) {
  Answer answer;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const char kind = line.empty() ? ' ' : line.front();
    if (!line.empty()) line.remove_prefix(1);
    if (kind == 'D') answer.complete = true;
    if (kind == 'B') answer.last_begun = take_number(line);
    if (kind != 'E') continue;
    ScriptError error;
    error.step = take_number(line);
    error.line = static_cast<int>(take_number(line));
    if (!line.empty()) line.remove_prefix(1);
    error.message = line.substr(0, 500);
    answer.errors.push_back(std::move(error));
  }
  return answer;
}

}  // namespace

Result<std::vector<ScriptError>> PythonScriptChecker::check(const std::vector<Step>& steps,
                                                            const std::string& interpreter) {
  if (steps.empty()) return std::vector<ScriptError>{};
  const std::string& program = interpreter.empty() ? default_interpreter_ : interpreter;
  const auto unavailable = [&](const std::string& why) {
    return fail(ErrorCode::Unavailable, "The scripts could not be checked: the interpreter '" + program + "' " + why +
                                            ". Name another one in options.python.interpreter.");
  };
  std::string input;
  for (const Step& step : steps) wire::put_string(input, step.script);
  Pipes pipes;
  if (!pipes.open()) return fail(ErrorCode::Unavailable, "The scripts could not be checked: no file descriptors left.");
  const auto pid = spawn_process({program, "-I", "-S", "-c", kProgram}, {{pipes.in[0], 0}, {pipes.out[1], 1}});
  if (!pid) return unavailable("cannot be run");
  Pipes::close(pipes.in[0]);
  Pipes::close(pipes.out[1]);
  std::string text;
  const bool ended = converse(pipes, input, read_clocks().mono + deadline_, text);
  ::kill(*pid, SIGKILL);
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  Answer answer = parse(text);
  if (answer.complete) return std::move(answer.errors);
  if (!answer.last_begun)
    return unavailable(ended ? "does not work (Python 3.9 or newer is needed)" : "did not answer");
  answer.errors.push_back({*answer.last_begun, 0,
                           ended ? "the interpreter crashes when it compiles this script"
                                 : "the interpreter takes too long to compile this script"});
  return std::move(answer.errors);
}

}  // namespace dhub::local
