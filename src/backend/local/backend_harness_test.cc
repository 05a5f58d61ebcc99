// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <unistd.h>

#include "backend/local/test_backend.h"

namespace dhub::local {
namespace {

using namespace std::chrono_literals;

std::string fresh_directory(const std::string& prefix) {
  std::string name = (std::filesystem::temp_directory_path() / (prefix + "XXXXXX")).string();
  return ::mkdtemp(name.data());
}

}  // namespace

TestBackend::TestBackend(LocalOptions options) : work_dir(fresh_directory("dhub-test-")) {
  if (options.host_program.empty()) options.host_program = "/proc/self/exe";
  options.work_dir = work_dir;
  options.on_raw_output = [this](InstanceId id, std::string_view text) { raw_output[id] += text; };
  backend.emplace(scheduler, io, std::move(options));
}

TestBackend::~TestBackend() {
  backend.reset();
  std::filesystem::remove_all(work_dir);
}

InstanceId TestBackend::start(const std::vector<std::string>& scripts,
                              const std::function<void(InstanceSpec&)>& change) {
  auto spec = std::make_shared<InstanceSpec>();
  spec->pipeline_id = "orders";
  spec->version = Version{3};
  spec->timeout = 20s;
  static const char* const kNames[] = {"first", "second", "third"};
  for (std::size_t i = 0; i < scripts.size(); ++i) spec->steps.push_back({kNames[i], scripts[i], std::nullopt});
  if (change) change(*spec);
  const InstanceId id{++instances_};
  backend->start(id, spec, *this);
  return id;
}

InstanceId TestBackend::start_ready(const std::vector<std::string>& scripts,
                                    const std::function<void(InstanceSpec&)>& change) {
  const InstanceId id = start(scripts, change);
  wait_ready(id);
  return id;
}

std::vector<DeliveryId> TestBackend::deliver(InstanceId instance, const std::vector<TestEvent>& events) {
  std::vector<RunId> runs;
  for (std::size_t i = 0; i < events.size(); ++i)
    runs.push_back({Pass{1}, PartitionId{0}, Offset{static_cast<std::int64_t>(deliveries_ + i) + 101}});
  return hand_over(instance, events, runs);
}

std::vector<DeliveryId> TestBackend::deliver_again(InstanceId instance, const std::vector<DeliveryId>& before,
                                                   const std::vector<TestEvent>& events) {
  std::vector<RunId> runs;
  for (const DeliveryId id : before) runs.push_back(runs_.at(id));
  return hand_over(instance, events, runs);
}

std::vector<DeliveryId> TestBackend::hand_over(InstanceId instance, const std::vector<TestEvent>& events,
                                               const std::vector<RunId>& runs) {
  std::vector<Delivery> frame;
  std::vector<std::string> headers;
  headers.reserve(events.size());
  std::vector<DeliveryId> ids;
  for (const TestEvent& event : events) {
    Delivery& delivery = frame.emplace_back();
    delivery.id = DeliveryId{++deliveries_};
    delivery.run = runs[ids.size()];
    runs_[delivery.id] = delivery.run;
    delivery.attempt = event.attempt;
    delivery.chain = event.chain;
    delivery.step = event.step;
    delivery.results = event.results;
    delivery.topic = "orders-topic";
    headers.push_back(encode_headers(event.headers));
    delivery.record.offset = delivery.run.offset;
    delivery.record.timestamp = WallTime{1'700'000'000'123};
    delivery.record.headers = headers.back();
    delivery.record.value = event.value;
    if (event.key) delivery.record.key = *event.key;
    ids.push_back(delivery.id);
  }
  backend->deliver(instance, frame);
  return ids;
}

const Outcome& TestBackend::run(InstanceId instance, const TestEvent& event) {
  return wait_outcome(deliver(instance, {event}).front());
}

void TestBackend::wait(const std::function<bool()>& condition, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    // Conditions that are not about the loop, like a process that is gone, are looked at again every few milliseconds.
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error(std::string("not in time: ") + what);
    io.restart();
    io.run_one_for(5ms);
  }
}

const Outcome& TestBackend::wait_outcome(DeliveryId id) {
  wait([&] { return outcomes.contains(id); }, "an outcome");
  return outcomes.at(id);
}

const InstanceEnded& TestBackend::wait_ended(InstanceId instance) {
  wait([&] { return ended.contains(instance); }, "the end of an instance");
  return ended.at(instance);
}

void TestBackend::wait_ready(InstanceId instance) {
  wait([&] { return ready.contains(instance) || ended.contains(instance); }, "an instance that is ready");
  if (!ready.contains(instance))
    throw std::runtime_error("did not start: " + ended.at(instance).detail + "\n" + ended.at(instance).trace);
}

void TestBackend::on_outcomes(InstanceId instance, std::vector<Outcome> fresh) {
  EXPECT_FALSE(ended.contains(instance)) << "an outcome after the end";
  for (auto& outcome : fresh) {
    const DeliveryId id = outcome.delivery;
    EXPECT_TRUE(outcomes.emplace(id, std::move(outcome)).second) << "a delivery was answered twice";
  }
}

void TestBackend::on_ended(const InstanceEnded& end) {
  EXPECT_TRUE(ended.emplace(end.instance, end).second) << "an instance ended twice";
}

std::string host_program(const std::string& isolation) {
  static const std::filesystem::path directory = fresh_directory("dhub-links-");
  static const std::unique_ptr<const std::filesystem::path, void (*)(const std::filesystem::path*)> cleaner(
      &directory, [](const std::filesystem::path* path) { std::filesystem::remove_all(*path); });
  const std::filesystem::path link = directory / ("dhub-host-" + isolation);
  std::error_code exists;
  std::filesystem::create_symlink(std::filesystem::read_symlink("/proc/self/exe"), link, exists);
  return link;
}

std::optional<int> number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  int number = 0;
  if (in >> number) return number;
  return std::nullopt;
}

}  // namespace dhub::local
