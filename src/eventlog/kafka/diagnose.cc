// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/diagnose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mutex>

#include "eventlog/kafka/admin.h"
#include "eventlog/kafka/settings.h"

namespace dhub::kafka {
namespace {

// The library's own words on why nothing works, which say more than "timed out". The last ones count.
class Complaints {
 public:
  HandleEvents events() {
    HandleEvents events;
    events.on_error = [this](rd_kafka_resp_err_t, const std::string& text) {
      std::lock_guard lock(mutex_);
      last_ = text;
    };
    return events;
  }
  [[nodiscard]] std::string last() const {
    std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  std::string last_;
};

}  // namespace

std::vector<DoctorCheck> diagnose(const KafkaOptions& options) {
  std::vector<DoctorCheck> checks;
  Complaints complaints;
  const Status settings = check_properties(consumer_settings(options.properties));
  auto opened = settings ? Handle::open(Role::Producer, producer_settings(options.properties), complaints.events())
                         : fail(settings.error());
  if (!opened) {
    checks.push_back(
        {"settings", CheckState::Fail, opened.error().message, "Correct the property; they are those of librdkafka."});
    return checks;
  }
  checks.push_back({"settings", CheckState::Ok,
                    fmt::format("{} properties, librdkafka {}", options.properties.size(), rd_kafka_version_str())});
  const std::shared_ptr<Handle> handle(std::move(*opened));
  const Admin admin(handle);
  const auto cluster = admin.describe_cluster();
  handle->poll(0);
  if (!cluster) {
    const std::string why = complaints.last();
    checks.push_back({"brokers", CheckState::Fail, why.empty() ? cluster.error().message : why,
                      "Look whether bootstrap.servers is right and reachable from here, and whether security.protocol "
                      "and the login are what the brokers expect."});
    return checks;
  }
  checks.push_back(
      {"brokers", CheckState::Ok,
       fmt::format("{} ({}), cluster id {}", cluster->brokers.size(), fmt::join(cluster->brokers, ", "), cluster->id)});
  const auto topics = admin.topic_names();
  if (!topics)
    checks.push_back({"topics", CheckState::Fail, topics.error().message, "Give the user the right to describe."});
  else if (topics->empty())
    checks.push_back({"topics", CheckState::Warn, "none that this user may see",
                      "Create topics with Kafka's own tools, and give the user Describe and Read on them."});
  else
    checks.push_back({"topics", CheckState::Ok, fmt::format("{} that this user may see", topics->size())});
  return checks;
}

}  // namespace dhub::kafka
