// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <charconv>
#include <ostream>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/version.h"

namespace dhub::cli {
namespace {

int code(ExitCode exit) {
  return static_cast<int>(exit);
}

// Data that did not reach its reader (a full disk behind a redirection) is a failure, not a success.
int finish(Console& console, ExitCode exit) {
  console.err.flush();
  if (console.out.flush()) return code(exit);
  console.err << "error: cannot write to standard output\n";
  return exit == ExitCode::Ok ? code(ExitCode::Failed) : code(exit);
}

int run_client(const ClientInvocation& invocation, const Environment& environment, Console& console) {
  const auto connection = find_connection(invocation.flags.connection, environment);
  if (!connection) {
    console.err << render(connection.error());
    return finish(console, connection.error().exit);
  }
  ApiClient api(*connection, invocation.flags.timeout);
  Session session{api, console, invocation.flags.output};
  const auto done = invocation.verb(session);
  if (done) return finish(console, ExitCode::Ok);
  console.out.flush();
  console.err << render(done.error());
  return finish(console, done.error().exit);
}

int print_version(const OutputFlags& output, Console& console) {
  if (output.format == OutputFormat::Json)
    console.out << "{\"version\": \"" << kVersion << "\"}\n";
  else if (output.format == OutputFormat::Yaml)
    console.out << "version: \"" << kVersion << "\"\n";
  else
    console.out << "dhub " << kVersion << '\n';
  return finish(console, ExitCode::Ok);
}

struct Runner {
  const Environment& environment;
  Console& console;
  const ServerVerbs& server;

  int operator()(const NothingToRun& nothing) const {
    (nothing.exit == ExitCode::Ok ? console.out : console.err) << nothing.text;
    return finish(console, nothing.exit);
  }
  int operator()(const ServeInvocation& serve) const { return server.serve(serve.flags); }
  int operator()(const RunnerInvocation& runner) const { return server.runner(runner.descriptor); }
  int operator()(const ConfigViewInvocation& view) const {
    return server.view_config(view.flags, view.output, console);
  }
  int operator()(const DoctorInvocation& doctor) const { return server.doctor(doctor.flags, doctor.output, console); }
  int operator()(const VersionInvocation& version) const { return print_version(version.output, console); }
  int operator()(const ClientInvocation& client) const { return run_client(client, environment, console); }
};

}  // namespace

int run(const std::vector<std::string>& arguments, const Environment& environment, Console& console,
        const ServerVerbs& server_verbs) {
  return std::visit(Runner{environment, console, server_verbs}, parse_command_line(arguments));
}

std::size_t terminal_width(const Environment& environment) {
  constexpr std::size_t kDefault = 80;
  constexpr std::size_t kLeast = 20;
  const std::string columns = get(environment, "COLUMNS");
  std::size_t width = 0;
  const auto [end, ec] = std::from_chars(columns.data(), columns.data() + columns.size(), width);
  if (ec == std::errc() && end == columns.data() + columns.size() && width >= kLeast) return width;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= kLeast) return size.ws_col;
  return kDefault;
}

}  // namespace dhub::cli
