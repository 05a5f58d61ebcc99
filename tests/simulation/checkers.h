// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "model/pipeline.h"
#include "tests/simulation/observer.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/trace.h"

namespace dhub::simulation {

// Holds what really happens against the invariants, while it happens. Knows the disk and the user code, and asks the
// server nothing.
class Checkers final : public Observer {
 public:
  Checkers(const Timeline& timeline, Trace& trace, std::int32_t cores)
      : timeline_(timeline), trace_(trace), cores_(cores) {}
  void look_at(SimDisk& disk) { disk_ = &disk; }
  void server_booted() {
    stored_.clear();
    loads_.clear();
  }

  // Every one of them, in the order of discovery.
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  // When all is said to be done: every event that a running trigger covers is final, outputs are there once.
  void check_converged();
  // No instance of the pipeline is left.
  void check_gone(const std::string& pipeline_id);
  void violation(const std::string& what);

  [[nodiscard]] std::int64_t executions() const { return executions_; }
  [[nodiscard]] std::size_t alive(const std::string& pipeline_id) const;
  [[nodiscard]] std::size_t alive() const { return alive_.size(); }
  // Since when commits of the position that is loaded are refused.
  [[nodiscard]] std::optional<Instant> refused_since(PositionUid position) const;
  // What was stored for topics of other clusters, in order.
  using Posted = std::pair<std::string, std::string>;  // topic and value
  [[nodiscard]] const std::vector<Posted>& posted() const { return posted_; }
  // The last ones that were stored.
  [[nodiscard]] const std::vector<JournalCommit>& old_commits() const { return old_commits_; }
  // Events that were stored so since the server's last start.
  [[nodiscard]] std::int64_t stored_in_this_life(PipelineUid pipeline, FinalState state) const;
  [[nodiscard]] int loads_in_this_life(PositionUid position) { return loads_[position]; }
  // Offsets at which user code has begun, in order, with repeats.
  [[nodiscard]] std::vector<std::int64_t> begun_offsets(const std::string& pipeline_id) const;

  void loaded(PositionUid position, OwnerEpoch epoch) override;
  void commit_applied(const JournalCommit& commit) override;
  void commit_answered(PositionUid position, OwnerEpoch epoch, bool stored) override;
  void noted(TopicUid topic, const std::string& group, const StartOffset& cursor) override;
  void sought(PositionUid position, Pass pass) override;
  void instance_started(InstanceId instance, const InstanceSpec& spec) override;
  void instance_gone(InstanceId instance, EndReason reason) override;
  void delivered(InstanceId instance, const InstanceSpec& spec, const Delivery& delivery) override;
  void begun(const Execution& execution) override;
  void finished(const Execution& execution, OutcomeKind kind) override;
  void cut_short(const Execution& execution) override;
  void outcome_lost(const std::string& pipeline_id, DeliveryId delivery) override;
  void server_killed() override;
  void misused(const std::string& what) override { violation("misused: " + what); }

 private:
  using Place = std::pair<PartitionId, std::int64_t>;
  // What the checkers know of a position beyond what is on the disk.
  struct Watched {
    std::map<Place, DeliveryId> ended_well;  // since it was loaded last
    std::map<Place, std::uint64_t> last_delivery;
    std::map<Place, std::int32_t> charged;
    std::map<Place, std::int32_t> failures;  // real ones, of this pass
    std::map<Place, Execution> running;
    std::map<PartitionId, Offset> furthest;  // cursors, of all passes
    std::optional<Instant> refused_since;
  };

  SimPosition* position_of(const std::string& pipeline_id, const std::string& topic);
  SimPosition* position_of(const Execution& execution);
  void check_finished(const JournalCommit& commit, const SimPosition& position);
  void check_charges(const JournalCommit& commit, const SimPosition& position);
  // Empty when `state` is right for that offset.
  [[nodiscard]] std::string fault_of(const SimPosition& position, const Place& place, FinalState state);
  void check_dead_letters(const SimPosition& position);
  [[nodiscard]] const Definition* definition(const std::string& pipeline_id, Version version);
  [[nodiscard]] std::int32_t most_attempts(PipelineUid pipeline);
  void check_order(const Execution& execution, const SimPosition& position, const SimPosition::Part& part);
  void check_position(const SimPosition& position);
  void check_outputs(const SimPosition& position);
  void check_output_of(const SimPosition& position, const Place& place, FinalState state,
                       const std::map<std::string, int>& outputs);
  void note(const std::string& line);

  const Timeline& timeline_;
  Trace& trace_;
  const std::int32_t cores_;
  SimDisk* disk_ = nullptr;
  std::vector<std::string> violations_;
  std::map<PositionUid, Watched> watched_;
  std::map<InstanceId, std::pair<std::string, Version>> alive_;
  std::map<std::pair<PipelineUid, Version>, Definition> definitions_;
  std::map<std::string, std::vector<std::int64_t>> begun_;
  std::vector<Posted> posted_;
  std::vector<JournalCommit> old_commits_;
  std::map<std::pair<PipelineUid, FinalState>, std::int64_t> stored_;
  std::map<PositionUid, int> loads_;
  std::int64_t executions_ = 0;
  std::int32_t losses_ = 0;  // by which outcomes may have been lost
};

}  // namespace dhub::simulation
