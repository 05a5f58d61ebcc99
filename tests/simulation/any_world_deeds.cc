// SPDX-License-Identifier: Apache-2.0
// What may happen in a random world, one thing a function.
#include <algorithm>
#include <fmt/format.h>

#include "tests/simulation/any_world.h"

namespace dhub::simulation {

using service::StartFrom;
using service::Triggers;

const std::vector<AnyWorld::Deed> AnyWorld::kWhileUp = {{30, &AnyWorld::publish},
                                                        {40, &AnyWorld::wait},
                                                        {6, &AnyWorld::start},
                                                        {2, &AnyWorld::seek},
                                                        {4, &AnyWorld::stop},
                                                        {3, &AnyWorld::pause},
                                                        {4, &AnyWorld::resume},
                                                        {5, &AnyWorld::switch_version},
                                                        {8, &AnyWorld::ask_for_status},
                                                        {3, &AnyWorld::kill_server},
                                                        {2, &AnyWorld::shut_server_down},
                                                        {4, &AnyWorld::trouble_disk},
                                                        {3, &AnyWorld::trouble_log},
                                                        {4, &AnyWorld::trouble_backend},
                                                        {2, &AnyWorld::trouble_cluster},
                                                        {6, &AnyWorld::end_some_trouble},
                                                        {2, &AnyWorld::lose_host},
                                                        {3, &AnyWorld::lose_instance},
                                                        {2, &AnyWorld::take_old_messages},
                                                        {1, &AnyWorld::grow_topic},
                                                        {2, &AnyWorld::wake_old_owner}};

const std::vector<AnyWorld::Deed> AnyWorld::kWhileDown = {
    {2, &AnyWorld::wait},       {10, &AnyWorld::boot_server},     {1, &AnyWorld::take_old_messages},
    {1, &AnyWorld::grow_topic}, {1, &AnyWorld::end_some_trouble}, {1, &AnyWorld::trouble_disk},
    {1, &AnyWorld::trouble_log}};

// An answer that comes twice is a violation, and one that never comes is found in the end.
template <typename T>
Triggers::Done<T> AnyWorld::answered(std::function<void(const Result<T>&)> then) {
  ++*open_calls_;
  auto came = std::make_shared<bool>(false);  // shared: the function is copied
  return [this, open = open_calls_, came, then = std::move(then)](Result<T> result) {
    if (std::exchange(*came, true)) return world.checkers.violation("a call was answered twice");
    --*open;
    if (then) then(result);
  };
}

void AnyWorld::wait() {
  (void)world.run_for(choice_.some_time());
}

void AnyWorld::publish() {
  PublishRequest request;
  request.topic = "orders";
  for (int i = 0, count = 1 + choice_.below(6); i < count; ++i) request.messages.push_back(choice_.message());
  const auto messages = request.messages;
  world.server().event_log.publish(std::move(request),
                                   answered<std::vector<Placement>>([this, messages](const auto& placed) {
                                     for (std::size_t i = 0; placed && i < messages.size(); ++i)
                                       acked_[{(*placed)[i].partition, (*placed)[i].offset}] = messages[i];
                                   }));
}

void AnyWorld::start() {
  service::StartCommand command;
  command.pipeline_id = any_pipeline();
  if (choice_.one_in(3)) command.version = Version{1};
  world.triggers().start(command, answered<service::Started>());
}

void AnyWorld::seek() {
  service::StartCommand command;
  command.pipeline_id = any_pipeline();
  command.from = choice_.one_in(2) ? StartFrom::Latest : StartFrom::Earliest;
  world.triggers().start(command, answered<service::Started>());
}

void AnyWorld::stop() {
  const std::string id = any_pipeline();
  world.triggers().stop(id, false, answered<Triggers::Nothing>([this, id](const auto& stopped) {
                          if (stopped) world.checkers.check_gone(id);
                        }));
}

void AnyWorld::pause() {
  world.triggers().pause(any_pipeline(), answered<Triggers::Nothing>());
}

void AnyWorld::resume() {
  world.triggers().resume(any_pipeline(), answered<Triggers::Nothing>());
}

void AnyWorld::switch_version() {
  const std::string id = any_pipeline();
  PipelineChange change;
  change.options_json = choice_.options(id == "p" ? "orders" : "out");
  change.steps_json = choice_.steps();
  (void)world.server().catalog.put_pipeline(id, change, std::nullopt);
  world.triggers().start({.pipeline_id = id, .version = {}, .from = {}}, answered<service::Started>());
}

void AnyWorld::ask_for_status() {
  if (const auto status = world.status(any_pipeline())) check_status(*status);
}

void AnyWorld::kill_server() {
  world.kill();
  open_calls_ = std::make_shared<int>(0);
}

void AnyWorld::shut_server_down() {
  const Duration grace = std::chrono::seconds(choice_.below(5));
  bool down = false;
  world.server().supervisor.shutdown(grace, [&down] { down = true; });
  const bool killed_meanwhile = choice_.one_in(3);
  const Duration most = killed_meanwhile ? choice_.some_time() : grace + std::chrono::seconds(5);
  if (!world.run_until([&down] { return down; }, most)) {
    if (!killed_meanwhile) world.checkers.violation("I7: the server does not end");
    return kill_server();
  }
  if (world.checkers.alive() > 0) world.checkers.violation("I10: instances outlive the server's shutdown");
  kill_server();
}

void AnyWorld::boot_server() {
  world.boot();
  if (each_life_) each_life_(world.server());
}

void AnyWorld::trouble_disk() {
  DiskFaults& faults = world.disk.faults;
  const ErrorCode code = choice_.one_in(2) ? ErrorCode::StorageFull : ErrorCode::Unavailable;
  const Error error{code, "The disk is full, or busy.", {}};
  switch (choice_.below(8)) {
    case 0:
      faults.refuse_commits = error;
      break;
    case 1:
      faults.refuse_commit = 0.5;
      break;
    case 2:
      faults.lose_answer = 0.5;
      break;
    case 3:
      faults.most_delay = choice_.one_in(2) ? std::chrono::seconds(3) : milliseconds(200);
      break;
    case 4:
      faults.refuse_publishes = error;
      break;
    case 5:
      faults.refuse_loads = error;
      break;
    case 6:
      faults.refuse_catalog = error;
      break;
    default:
      faults.overtake = 0.5;
  }
}

void AnyWorld::trouble_log() {
  DiskFaults& faults = world.disk.faults;
  const Error error{ErrorCode::Unavailable, "The log cannot be reached.", {}};
  switch (choice_.below(5)) {
    case 0:
      faults.refuse_reads = error;
      break;
    case 1:
      faults.refuse_read = 0.5;
      break;
    case 2:
      faults.refuse_topic = error;
      break;
    case 3:
      faults.untold_arrival = 0.5;
      break;
    default:
      faults.hole = 0.3;
  }
}

void AnyWorld::trouble_backend() {
  BackendFaults& faults = world.backend_faults;
  switch (choice_.below(5)) {
    case 0:
      faults.crash = 0.2;
      break;
    case 1:
      faults.fail_start = 0.5;
      break;
    case 2:
      faults.broken_pipelines.insert(any_pipeline());
      break;
    case 3:
      faults.start_most = std::chrono::seconds(5);
      break;
    default:
      faults.way_most = milliseconds(200);
  }
}

// Where outputs go.
void AnyWorld::trouble_cluster() {
  if (choice_.one_in(2)) {
    world.cluster.refusing["main/far"] = choice_.one_in(2) ? ErrorCode::Unavailable : ErrorCode::NotFound;
  } else {
    world.cluster.takes = choice_.one_in(2) ? std::chrono::seconds(10) : milliseconds(500);
  }
}

void AnyWorld::end_some_trouble() {
  switch (choice_.below(3)) {
    case 0:
      world.disk.faults = {};
      break;
    case 1:
      world.backend_faults.end();
      break;
    default:
      world.cluster.heal();
  }
}

void AnyWorld::lose_host() {
  world.server().backend.lose_host();
}

void AnyWorld::lose_instance() {
  const auto instances = world.server().backend.instances();
  if (instances.empty()) return;
  world.server().backend.crash(instances[static_cast<std::size_t>(choice_.below(static_cast<int>(instances.size())))]);
}

// Of `orders` only: what is in `out` is counted in the end.
void AnyWorld::take_old_messages() {
  const PartitionId partition{choice_.below(choice_.partitions())};
  const auto& log = world.disk.topic("orders")->partitions[static_cast<std::size_t>(partition.value)];
  const auto length = static_cast<int>(log.end() - log.start);
  if (length > 0) world.disk.drop_records("orders", partition, log.start + choice_.below(length + 1));
}

void AnyWorld::grow_topic() {
  if (choice_.foreign() && world.disk.topic("orders")->partitions.size() < 6) world.disk.add_partition("orders");
}

// A server that was thought dead sends once more what it had sent.
void AnyWorld::wake_old_owner() {
  const auto& commits = world.checkers.old_commits();
  if (commits.empty()) return;
  const auto& commit = commits[static_cast<std::size_t>(choice_.below(static_cast<int>(commits.size())))];
  if (commit.owner_epoch.value == world.disk.positions[commit.position].epoch) return;
  world.server().journal.commit(std::make_shared<const JournalCommit>(commit),
                                answered<CommitAnswer>([this](const auto& answer) {
                                  if (answer && *answer == CommitAnswer::Applied)
                                    world.checkers.violation("I9: an old owner's commit was taken");
                                }));
}

}  // namespace dhub::simulation
