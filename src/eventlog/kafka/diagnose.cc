// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/diagnose.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mutex>
#include <string>
#include <vector>

#include "eventlog/kafka/admin.h"
#include "eventlog/kafka/settings.h"

namespace dhub::kafka {
namespace {

// The library's own words on why nothing works, which say more than "timed out". The last ones count.
struct Complaint {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string text;
};

class Complaints {
 public:
  HandleEvents events() {
    HandleEvents events;
    events.on_error = [this](rd_kafka_resp_err_t code, const std::string& text) {
      std::lock_guard lock(mutex_);
      // That all brokers are down says nothing about why, and comes after what does.
      if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !last_.text.empty()) return;
      // How long it took, and how often it happened before, is of no use here.
      last_ = {code, text.substr(0, text.find(" (after "))};
    };
    return events;
  }
  [[nodiscard]] Complaint last() const {
    std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  Complaint last_;
};

std::string advice(const Complaint& complaint) {
  switch (complaint.code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return "The brokers answer and refuse this login: correct sasl.mechanism, sasl.username or sasl.password.";
    case RD_KAFKA_RESP_ERR__SSL:
      return "Look at ssl.ca.location, which must hold the authority of the brokers' certificates, at the client's own "
             "certificate where one is wanted, and whether this port speaks TLS at all.";
    case RD_KAFKA_RESP_ERR__RESOLVE:
      return "Correct the host name in bootstrap.servers, or let this machine's DNS know it.";
    case RD_KAFKA_RESP_ERR__TRANSPORT:
      if (complaint.text.find("security.protocol") != std::string::npos)
        return "Somebody answers, in another way than expected: set security.protocol to what this port of the brokers "
               "speaks, or correct the port in bootstrap.servers.";
      return "Start the brokers, or correct host and port in bootstrap.servers; a firewall may be in between.";
    default:
      return "Look whether bootstrap.servers is right and reachable from here, and whether security.protocol and the "
             "login are what the brokers expect.";
  }
}

DoctorCheck unreachable(const Error& error, const Complaint& complaint) {
  return {"brokers", CheckState::Fail, complaint.text.empty() ? error.message : complaint.text, advice(complaint)};
}

// A handful of names, and how many more there are.
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  const std::vector<std::string> shown(names.begin(), names.begin() + std::min(names.size(), kMost));
  const std::string more = names.size() > kMost ? fmt::format(" and {} more", names.size() - kMost) : "";
  return fmt::format("{}{}", fmt::join(shown, ", "), more);
}

DoctorCheck check_topics(const Admin& admin) {
  const auto topics = admin.topic_names();
  if (!topics) return {"topics", CheckState::Fail, topics.error().message, "Give the user the right to describe."};
  if (topics->empty())
    return {"topics", CheckState::Warn, "none that this user may see",
            "Create topics with Kafka's own tools, and give the user Describe and Read on them."};
  const std::string seen = fmt::format("{} that this user may see", topics->size());
  const auto rights = admin.topic_rights(*topics);
  if (!rights) return {"topics", CheckState::Warn, fmt::format("{}; {}", seen, rights.error().message), {}};
  std::vector<std::string> unread;
  std::size_t writable = 0;
  for (const auto& [name, right] : *rights) {
    if (!right.read) unread.push_back(name);
    if (right.write) ++writable;
  }
  if (unread.empty())
    return {"topics", CheckState::Ok, fmt::format("{} and read; it may publish to {}", seen, writable)};
  return {"topics", CheckState::Warn, fmt::format("{}; it may not read {}: {}", seen, unread.size(), some_of(unread)),
          "Give the user Read on those that triggers are to listen on."};
}

DoctorCheck check_positions(const Admin& admin) {
  const auto may = admin.may_commit("dhub.doctor");
  if (!may) return {"positions", CheckState::Warn, may.error().message, {}};
  if (*may) return {"positions", CheckState::Ok, "may be told to groups such as dhub.doctor"};
  return {"positions", CheckState::Warn,
          "may not be told to groups such as dhub.doctor: all works, and Kafka's own tools see no lag",
          "Give the user Describe and Read on groups with the prefix dhub."};
}

}  // namespace

std::vector<DoctorCheck> diagnose(const KafkaOptions& options) {
  std::vector<DoctorCheck> checks;
  Complaints complaints;
  const Status settings = check_settings(options.properties);
  auto opened = settings ? Handle::open(Role::Producer, producer_settings(options.properties), complaints.events())
                         : fail(settings.error());
  if (!opened) {
    checks.push_back(
        {"settings", CheckState::Fail, opened.error().message, "Correct the property; they are those of librdkafka."});
    return checks;
  }
  checks.push_back({"settings", CheckState::Ok,
                    fmt::format("{} given, librdkafka {}", options.properties.size(), rd_kafka_version_str())});
  const std::shared_ptr<Handle> handle(std::move(*opened));
  const Admin admin(handle);
  const auto cluster = admin.describe_cluster();
  handle->poll(0);
  if (!cluster) {
    checks.push_back(unreachable(cluster.error(), complaints.last()));
    return checks;
  }
  checks.push_back(
      {"brokers", CheckState::Ok,
       fmt::format("{} ({}), cluster id {}", cluster->brokers.size(), fmt::join(cluster->brokers, ", "), cluster->id)});
  checks.push_back(check_topics(admin));
  checks.push_back(check_positions(admin));
  return checks;
}

}  // namespace dhub::kafka
