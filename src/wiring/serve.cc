// SPDX-License-Identifier: Apache-2.0
#include "wiring/serve.h"

#include <cstring>
#include <future>
#include <memory>
#include <ostream>
#include <signal.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

#include "base/log.h"
#include "base/version.h"
#include "cli/failure.h"
#include "runner/host.h"
#include "wiring/config.h"
#include "wiring/server_process.h"
#include "wiring/stop_signals.h"

namespace dhub::wiring {
namespace {

// What ending may take beyond the grace that events get: killing, committing, and the last answers.
constexpr Duration kBeyondGrace = std::chrono::seconds(30);
// What closing may take once all that matters is stored: connections to clusters have been seen never to end.
constexpr Duration kClosing = std::chrono::seconds(20);

int tell(cli::Console& console, cli::ExitCode exit, const std::string& title, const Error& error,
         const std::string& next = {}) {
  console.err << cli::render({exit, title, error.message, {}, {}, next, 0});
  console.err.flush();
  return static_cast<int>(exit);
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? std::to_string(signal) : "SIG" + std::string(name);
}

// Watches over the end. A second signal ends the process on the spot; what was in flight is redelivered by the next
// start, which is what crashes have been made safe for.
void end_at_once_on_signal(StopSignals& signals, Duration patience, Logger& logger) {
  const StopSignals::Wakeup wakeup = signals.wait(patience);
  if (wakeup.cause == StopSignals::Cause::Woken) return;
  if (wakeup.cause == StopSignals::Cause::TimedOut) {
    logger.error("something does not close; ending without waiting for it, everything is stored");
    ::_exit(1);
  }
  logger.warn("ending at once", {{"signal", signal_name(wakeup.signal)}});
  ::_exit(128 + wakeup.signal);
}

void end(std::unique_ptr<ServerProcess> server, Duration grace, Logger& logger, StopSignals& signals) {
  const std::jthread watcher([&] { end_at_once_on_signal(signals, grace + kBeyondGrace + kClosing, logger); });
  std::promise<void> drained;
  server->drain(grace, [&] { drained.set_value(); });
  if (drained.get_future().wait_for(grace + kBeyondGrace) != std::future_status::ready) {
    logger.error("events did not end in time; they run again at the next start");
    ::_exit(1);
  }
  server.reset();
  signals.wake();
}

}  // namespace

int serve(const cli::ServerFlags& flags, const Environment& environment, cli::Console& console) {
  const auto config = read_config(flags, environment);
  if (!config) return tell(console, cli::ExitCode::Usage, "configuration", config.error(), "dhub config view");
  prepare_server_process();
  StopSignals signals;
  Logger logger(config->log_format, config->log_level, descriptor_sink(STDERR_FILENO));
  for (const std::string& warning : config->warnings) logger.warn(warning);
  auto server = ServerProcess::start(*config, logger);
  if (!server) return tell(console, cli::ExitCode::Failed, "cannot start", server.error());
  logger.info("serving", {{"url", (*server)->url()},
                          {"version", std::string(kVersion)},
                          {"data", config->data},
                          {"admin_token_file", (*server)->admin_token_path()}});
  if (!config->auth) logger.warn("authentication is off: every process of this machine may do everything");
  console.out << "dhub serves on " << (*server)->url() << std::endl;
  const StopSignals::Wakeup first = signals.wait(std::nullopt);
  logger.info("ending; a second signal ends at once",
              {{"signal", signal_name(first.signal)}, {"grace", to_string(config->grace)}});
  end(std::move(*server), config->grace, logger, signals);
  logger.info("ended");
  return 0;
}

int run_runner(int descriptor) {
  unblock_signals();
  return runner::run_host(descriptor);
}

}  // namespace dhub::wiring
