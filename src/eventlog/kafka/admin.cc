// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/admin.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "eventlog/kafka/errors.h"

namespace dhub::kafka {
namespace {

template <typename T, void (*destroy)(T*)>
struct Deleter {
  void operator()(T* object) const { destroy(object); }
};
using Queue = std::unique_ptr<rd_kafka_queue_t, Deleter<rd_kafka_queue_t, rd_kafka_queue_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Deleter<rd_kafka_event_t, rd_kafka_event_destroy>>;
using Options =
    std::unique_ptr<rd_kafka_AdminOptions_t, Deleter<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>>;
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      Deleter<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>>;

int in_ms(Duration duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// One question: its options, the queue that it is answered on, the answer.
class Question {
 public:
  Question(Handle& handle, rd_kafka_admin_op_t kind, Duration timeout)
      : handle_(handle),
        timeout_ms_(in_ms(timeout)),
        queue_(rd_kafka_queue_new(handle.get())),
        options_(rd_kafka_AdminOptions_new(handle.get(), kind)) {
    std::array<char, 128> why{};
    rd_kafka_AdminOptions_set_request_timeout(options_.get(), timeout_ms_, why.data(), why.size());
  }
  [[nodiscard]] rd_kafka_queue_t* queue() const { return queue_.get(); }
  [[nodiscard]] rd_kafka_AdminOptions_t* options() const { return options_.get(); }

  // `what` begins the sentence of an error.
  Result<const rd_kafka_event_t*> answer(const std::string& what) {
    // A little longer than the request may take, so that it is the request that says why.
    event_.reset(rd_kafka_queue_poll(queue_.get(), timeout_ms_ + 500));
    const auto error = event_ ? rd_kafka_event_error(event_.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT)
      return fail(nobody_answers(what));
    handle_.note_answer();
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(to_error(error, what, rd_kafka_event_error_string(event_.get())));
    return event_.get();
  }

 private:
  [[nodiscard]] Error nobody_answers(const std::string& what) const {
    if (const auto trouble = handle_.trouble()) return to_error(trouble->code, what, trouble->text);
    return to_error(RD_KAFKA_RESP_ERR__TIMED_OUT, what, "no broker has answered in time");
  }

  Handle& handle_;
  int timeout_ms_;
  Queue queue_;
  Options options_;
  Event event_;
};

Result<TopicDescription> description_of(const rd_kafka_TopicDescription_t* topic) {
  const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(topic);
  if (const auto code = rd_kafka_error_code(error); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(to_error(code, fmt::format("Topic '{}'", rd_kafka_TopicDescription_name(topic))));
  TopicDescription description;
  std::size_t partitions = 0;
  (void)rd_kafka_TopicDescription_partitions(topic, &partitions);
  description.partitions = static_cast<std::int32_t>(partitions);
  const rd_kafka_Uuid_t* id = rd_kafka_TopicDescription_topic_id(topic);
  const bool has_id =
      id != nullptr && (rd_kafka_Uuid_most_significant_bits(id) != 0 || rd_kafka_Uuid_least_significant_bits(id) != 0);
  if (has_id) description.identity = rd_kafka_Uuid_base64str(id);
  return description;
}

PartitionList list_of(const std::string& topic, const std::vector<StartOffset>& offsets) {
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const auto& [partition, offset] : offsets)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition.value)->offset = offset.value;
  return list;
}

// The partitions of the only group of an answer.
Result<std::vector<StartOffset>> partitions_of(const rd_kafka_group_result_t* const* groups, std::size_t count,
                                               const std::string& what) {
  std::vector<StartOffset> offsets;
  for (std::size_t i = 0; i < count; ++i) {
    if (const rd_kafka_error_t* error = rd_kafka_group_result_error(groups[i]))
      return fail(to_error(rd_kafka_error_code(error), what));
    const rd_kafka_topic_partition_list_t* list = rd_kafka_group_result_partitions(groups[i]);
    for (int p = 0; list != nullptr && p < list->cnt; ++p) {
      const auto& partition = list->elems[p];
      if (partition.err != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(to_error(partition.err, what));
      if (partition.offset >= 0) offsets.push_back({PartitionId{partition.partition}, Offset{partition.offset}});
    }
  }
  return offsets;
}

// None given: the broker does not say.
bool includes(const rd_kafka_AclOperation_t* allowed, std::size_t count, rd_kafka_AclOperation_t wanted) {
  if (allowed == nullptr || count == 0) return true;
  return std::any_of(allowed, allowed + count,
                     [&](auto one) { return one == wanted || one == RD_KAFKA_ACL_OPERATION_ALL; });
}

void ask_for_rights(const Question& question) {
  if (rd_kafka_error_t* error = rd_kafka_AdminOptions_set_include_authorized_operations(question.options(), 1))
    rd_kafka_error_destroy(error);
}

std::string address_of(const rd_kafka_Node_t* node) {
  return node == nullptr ? "" : fmt::format("{}:{}", rd_kafka_Node_host(node), rd_kafka_Node_port(node));
}

}  // namespace

Result<Admin::Descriptions> Admin::describe(const std::vector<std::string>& topics) const {
  Descriptions found;
  if (topics.empty()) return found;
  std::vector<const char*> names;
  for (const auto& topic : topics) names.push_back(topic.c_str());
  Question question(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_);
  rd_kafka_TopicCollection_t* collection = rd_kafka_TopicCollection_of_topic_names(names.data(), names.size());
  rd_kafka_DescribeTopics(handle_->get(), collection, question.options(), question.queue());
  rd_kafka_TopicCollection_destroy(collection);
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer("The cluster cannot be asked for its topics"));
  std::size_t count = 0;
  const auto* described = rd_kafka_DescribeTopics_result_topics(
      rd_kafka_event_DescribeTopics_result(const_cast<rd_kafka_event_t*>(event)), &count);
  for (std::size_t i = 0; i < count; ++i)
    found.emplace(rd_kafka_TopicDescription_name(described[i]), description_of(described[i]));
  return found;
}

Result<TopicDescription> Admin::describe_one(const std::string& topic) const {
  ASSIGN_OR_RETURN(const auto described, describe({topic}));
  const auto found = described.find(topic);
  if (found == described.end()) return fail(ErrorCode::NotFound, fmt::format("Topic '{}' is gone.", topic));
  return found->second;
}

Result<Admin::Offsets> Admin::offsets(const Partitions& partitions, LogEdge edge) const {
  Offsets found;
  if (partitions.empty()) return found;
  Question question(*handle_, RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout_);
  if (rd_kafka_error_t* error =
          rd_kafka_AdminOptions_set_isolation_level(question.options(), RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED))
    rd_kafka_error_destroy(error);
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto& [topic, partition] : partitions)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition.value)->offset =
        edge == LogEdge::Start ? RD_KAFKA_OFFSET_SPEC_EARLIEST : RD_KAFKA_OFFSET_SPEC_LATEST;
  rd_kafka_ListOffsets(handle_->get(), list.get(), question.options(), question.queue());
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer("The cluster cannot be asked for offsets"));
  std::size_t count = 0;
  const auto* infos = rd_kafka_ListOffsets_result_infos(
      rd_kafka_event_ListOffsets_result(const_cast<rd_kafka_event_t*>(event)), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto* partition = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
    if (partition->err == RD_KAFKA_RESP_ERR_NO_ERROR && partition->offset >= 0)
      found[{partition->topic, PartitionId{partition->partition}}] = Offset{partition->offset};
  }
  return found;
}

Result<std::vector<std::string>> Admin::topic_names() const {
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto error = rd_kafka_metadata(handle_->get(), 1, nullptr, &metadata, in_ms(timeout_));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(to_error(error, "The cluster cannot be asked for its topics"));
  std::vector<std::string> names;
  for (int i = 0; i < metadata->topic_cnt; ++i)
    if (const std::string name = metadata->topics[i].topic; !name.starts_with("__")) names.push_back(name);
  rd_kafka_metadata_destroy(metadata);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<StartOffset>> Admin::group_offsets(const std::string& group, const std::string& topic,
                                                      std::int32_t partitions) const {
  std::vector<StartOffset> wanted;
  for (std::int32_t i = 0; i < partitions; ++i) wanted.push_back({PartitionId{i}, Offset{0}});
  const std::string what = fmt::format("The offsets of group '{}' cannot be read", group);
  Question question(*handle_, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout_);
  const PartitionList list = list_of(topic, wanted);
  rd_kafka_ListConsumerGroupOffsets_t* request = rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), list.get());
  rd_kafka_ListConsumerGroupOffsets(handle_->get(), &request, 1, question.options(), question.queue());
  rd_kafka_ListConsumerGroupOffsets_destroy(request);
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer(what));
  std::size_t count = 0;
  const auto* result = rd_kafka_event_ListConsumerGroupOffsets_result(const_cast<rd_kafka_event_t*>(event));
  const auto* groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count);
  return partitions_of(groups, count, what);
}

Result<std::size_t> Admin::group_members(const std::string& group) const {
  const std::string what = fmt::format("Group '{}' cannot be looked at", group);
  Question question(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout_);
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(handle_->get(), &name, 1, question.options(), question.queue());
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer(what));
  std::size_t count = 0;
  const auto* groups = rd_kafka_DescribeConsumerGroups_result_groups(
      rd_kafka_event_DescribeConsumerGroups_result(const_cast<rd_kafka_event_t*>(event)), &count);
  std::size_t members = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_error_code(rd_kafka_ConsumerGroupDescription_error(groups[i]));
    // Newer brokers say so of a group that is not there; whether it has committed anything is another question.
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
      return fail(to_error(code, what));
    members += rd_kafka_ConsumerGroupDescription_member_count(groups[i]);
  }
  if (members > 0) return members;
  ASSIGN_OR_RETURN(const bool newer, has_newer_members(group));
  return newer ? 1 : 0;
}

// The older protocol's question, which is the library's only one, finds nobody in groups of the newer one; in the list
// they stand with their state. States that the library does not know are those of a rebalance.
Result<bool> Admin::has_newer_members(const std::string& group) const {
  Question question(*handle_, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, timeout_);
  rd_kafka_ListConsumerGroups(handle_->get(), question.options(), question.queue());
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event,
                   question.answer(fmt::format("Group '{}' cannot be looked at", group)));
  std::size_t count = 0;
  const auto* result = rd_kafka_event_ListConsumerGroups_result(const_cast<rd_kafka_event_t*>(event));
  const auto* groups = rd_kafka_ListConsumerGroups_result_valid(result, &count);
  return std::any_of(groups, groups + count, [&](const rd_kafka_ConsumerGroupListing_t* listed) {
    const auto state = rd_kafka_ConsumerGroupListing_state(listed);
    return rd_kafka_ConsumerGroupListing_group_id(listed) == group &&
           rd_kafka_ConsumerGroupListing_type(listed) == RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER &&
           state != RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY && state != RD_KAFKA_CONSUMER_GROUP_STATE_DEAD;
  });
}

Result<std::map<std::string, TopicRights>> Admin::topic_rights(const std::vector<std::string>& topics) const {
  std::map<std::string, TopicRights> rights;
  if (topics.empty()) return rights;
  std::vector<const char*> names;
  for (const auto& topic : topics) names.push_back(topic.c_str());
  Question question(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_);
  ask_for_rights(question);
  rd_kafka_TopicCollection_t* collection = rd_kafka_TopicCollection_of_topic_names(names.data(), names.size());
  rd_kafka_DescribeTopics(handle_->get(), collection, question.options(), question.queue());
  rd_kafka_TopicCollection_destroy(collection);
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer("The cluster cannot be asked for rights"));
  std::size_t count = 0;
  const auto* described = rd_kafka_DescribeTopics_result_topics(
      rd_kafka_event_DescribeTopics_result(const_cast<rd_kafka_event_t*>(event)), &count);
  for (std::size_t i = 0; i < count; ++i) {
    if (rd_kafka_error_code(rd_kafka_TopicDescription_error(described[i])) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    std::size_t operations = 0;
    const auto* allowed = rd_kafka_TopicDescription_authorized_operations(described[i], &operations);
    rights[rd_kafka_TopicDescription_name(described[i])] = {
        includes(allowed, operations, RD_KAFKA_ACL_OPERATION_READ),
        includes(allowed, operations, RD_KAFKA_ACL_OPERATION_WRITE)};
  }
  return rights;
}

Result<bool> Admin::may_commit(const std::string& group) const {
  Question question(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout_);
  ask_for_rights(question);
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(handle_->get(), &name, 1, question.options(), question.queue());
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer("The cluster cannot be asked for rights"));
  std::size_t count = 0;
  const auto* groups = rd_kafka_DescribeConsumerGroups_result_groups(
      rd_kafka_event_DescribeConsumerGroups_result(const_cast<rd_kafka_event_t*>(event)), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_error_code(rd_kafka_ConsumerGroupDescription_error(groups[i]));
    std::size_t operations = 0;
    const auto* allowed = rd_kafka_ConsumerGroupDescription_authorized_operations(groups[i], &operations);
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
        !includes(allowed, operations, RD_KAFKA_ACL_OPERATION_READ))
      return false;
  }
  return true;
}

Status Admin::set_group_offsets(const GroupCursors& cursors) const {
  const std::string what = fmt::format("The offsets of group '{}' cannot be stored", cursors.group);
  Question question(*handle_, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, timeout_);
  const PartitionList list = list_of(cursors.topic, cursors.cursors);
  rd_kafka_AlterConsumerGroupOffsets_t* request =
      rd_kafka_AlterConsumerGroupOffsets_new(cursors.group.c_str(), list.get());
  rd_kafka_AlterConsumerGroupOffsets(handle_->get(), &request, 1, question.options(), question.queue());
  rd_kafka_AlterConsumerGroupOffsets_destroy(request);
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer(what));
  std::size_t count = 0;
  const auto* result = rd_kafka_event_AlterConsumerGroupOffsets_result(const_cast<rd_kafka_event_t*>(event));
  const auto* groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &count);
  RETURN_IF_ERROR(partitions_of(groups, count, what));
  return {};
}

Result<ClusterDescription> Admin::describe_cluster() const {
  Question question(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER, timeout_);
  rd_kafka_DescribeCluster(handle_->get(), question.options(), question.queue());
  ASSIGN_OR_RETURN(const rd_kafka_event_t* event, question.answer("The cluster cannot be reached"));
  const auto* result = rd_kafka_event_DescribeCluster_result(const_cast<rd_kafka_event_t*>(event));
  ClusterDescription cluster;
  if (const char* id = rd_kafka_DescribeCluster_result_cluster_id(result)) cluster.id = id;
  cluster.controller = address_of(rd_kafka_DescribeCluster_result_controller(result));
  std::size_t count = 0;
  const auto* nodes = rd_kafka_DescribeCluster_result_nodes(result, &count);
  for (std::size_t i = 0; i < count; ++i) cluster.brokers.push_back(address_of(nodes[i]));
  return cluster;
}

}  // namespace dhub::kafka
