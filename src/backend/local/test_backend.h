// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/local/local_backend.h"
#include "loop/asio_scheduler.h"

namespace dhub::local {

// A message as tests write it.
struct TestEvent {
  std::string value;
  std::optional<std::string> key = {};
  std::vector<Header> headers = {};
  std::uint16_t chain = 0;
  std::uint16_t step = 0;
  std::string results = {};
  std::int32_t attempt = 1;
};

// A real backend on a loop that runs while a test waits, and what the backend has said so far.
class TestBackend : public ComputeListener {
 public:
  explicit TestBackend(LocalOptions options = {});
  ~TestBackend() override;

  // Starts an instance of these scripts; wait_ready() where it is to be there.
  InstanceId start(const std::vector<std::string>& scripts, const std::function<void(InstanceSpec&)>& change = {});
  InstanceId start_ready(const std::vector<std::string>& scripts,
                         const std::function<void(InstanceSpec&)>& change = {});
  // Answers the ids of the deliveries; each is a run of its own.
  std::vector<DeliveryId> deliver(InstanceId instance, const std::vector<TestEvent>& events);
  const Outcome& run(InstanceId instance, const TestEvent& event);
  // The same runs once more, under new delivery ids.
  std::vector<DeliveryId> deliver_again(InstanceId instance, const std::vector<DeliveryId>& before,
                                        const std::vector<TestEvent>& events);

  // Runs the loop until `condition`; fails the test after 30 s.
  void wait(const std::function<bool()>& condition, const char* what);
  const Outcome& wait_outcome(DeliveryId id);
  const InstanceEnded& wait_ended(InstanceId instance);
  void wait_ready(InstanceId instance);

  void on_ready(InstanceId instance) override { ready.insert(instance); }
  void on_outcomes(InstanceId instance, std::vector<Outcome> outcomes) override;
  void on_ended(const InstanceEnded& end) override;

  boost::asio::io_context io;
  loop::AsioScheduler scheduler{io};
  std::string work_dir;
  std::optional<LocalBackend> backend;
  std::set<InstanceId> ready;
  std::map<DeliveryId, Outcome> outcomes;
  std::map<InstanceId, InstanceEnded> ended;
  std::map<InstanceId, std::string> raw_output;

 private:
  std::vector<DeliveryId> hand_over(InstanceId instance, const std::vector<TestEvent>& events,
                                    const std::vector<RunId>& runs);
  std::uint64_t instances_ = 0;
  std::uint64_t deliveries_ = 0;
  std::map<DeliveryId, RunId> runs_;
};

// Path of a program that is this one and runs as a host with the given isolation: best, user_namespace, none.
std::string host_program(const std::string& isolation);

// Reads a number that a step has written; none while the file is not there.
std::optional<int> number_in(const std::filesystem::path& file);

}  // namespace dhub::local
