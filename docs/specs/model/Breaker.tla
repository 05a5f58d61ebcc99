------------------------------- MODULE Breaker -------------------------------
(***************************************************************************)
(* The breaker: after Limit different events in a row have failed with no  *)
(* success between, the trigger probes one event at a time and charges     *)
(* nothing. Does a healthy world always finish, whatever is in the topic?  *)
(* And does an outage of any length fill no dead letters?                  *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets
CONSTANTS
  N, Max, Limit,
  Bad,         \* events that fail although the world is well (and do not say Reject)
  Outages,     \* how often the world may go down; it always comes back
  \* ---- rules ----
  Rotate,      \* a probe takes the event probed longest ago, untried ones included
  FullRound    \* when every waiting event has failed as a probe since the last success, the
               \* probes of the next round are charged
E == 1..N
VARIABLES fin, charged, fails, open, probed, round, down, left, world
vars == <<fin, charged, fails, open, probed, round, down, left, world>>
\* fails: different events failed in a row; probed: those probed in this round
\* round: a full round without success has passed;  world[e]: charges that an outage caused
Init == /\ fin = [e \in E |-> "none"] /\ charged = [e \in E |-> 0] /\ fails = {} /\ open = FALSE
        /\ probed = {} /\ round = FALSE /\ down = FALSE /\ left = Outages
        /\ world = [e \in E |-> 0]
Todo == {e \in E : fin[e] = "none"}
Probe == IF Rotate THEN (IF Todo \ probed # {} THEN Todo \ probed ELSE Todo)
         ELSE {CHOOSE e \in Todo : \A x \in Todo : e <= x}      \* always the head
Succeeds(e) == ~down /\ e \notin Bad
Run(e) ==
  /\ fin[e] = "none" /\ (open => e \in Probe)
  /\ IF Succeeds(e)
     THEN /\ fin' = [fin EXCEPT ![e] = "ok"] /\ fails' = {} /\ open' = FALSE
          /\ probed' = {} /\ round' = FALSE /\ UNCHANGED <<charged, world>>
     ELSE LET pay == ~open \/ (FullRound /\ round)
              pr  == IF open THEN probed \cup {e} ELSE {}
              all == open /\ Todo \subseteq pr
          IN /\ charged' = IF pay THEN [charged EXCEPT ![e] = @ + 1] ELSE charged
             /\ world' = IF pay /\ down THEN [world EXCEPT ![e] = @ + 1] ELSE world
             /\ fin' = IF pay /\ charged[e] + 1 >= Max THEN [fin EXCEPT ![e] = "dead"] ELSE fin
             /\ fails' = IF open THEN fails ELSE fails \cup {e}
             /\ open' = (open \/ Cardinality(fails \cup {e}) >= Limit)
             /\ probed' = IF all THEN {} ELSE pr
             /\ round' = (open /\ (round \/ all))
  /\ UNCHANGED <<down, left>>
Fall == ~down /\ left > 0 /\ down' = TRUE /\ left' = left - 1
        /\ UNCHANGED <<fin, charged, fails, open, probed, round, world>>
Rise == down /\ down' = FALSE /\ UNCHANGED <<fin, charged, fails, open, probed, round, left, world>>
Next == Fall \/ Rise \/ \E e \in E : Run(e)
Spec == Init /\ [][Next]_vars /\ WF_vars(Rise) /\ \A e \in E : SF_vars(Run(e))
I6 == \A e \in E : charged[e] <= Max
\* An outage alone dead-letters nobody.
NoneByOutage == \A e \in E : fin[e] = "dead" => charged[e] > world[e]
I7 == <>[](Todo = {})
GoodDone == <>[](\A e \in E \ Bad : fin[e] # "none")
=============================================================================
