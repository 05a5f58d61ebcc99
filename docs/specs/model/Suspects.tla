------------------------------ MODULE Suspects ------------------------------
(***************************************************************************)
(* Events that kill the machine: dispatched_through, suspects of unclean   *)
(* stops, durable start marks, charges by death, host deaths.              *)
(*                                                                         *)
(* Two positions share one server process and one host: that is the point. *)
(* Order per key and asynchronous commits are in Delivery.tla; here every  *)
(* journal write is one step.                                              *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
  N,            \* events 1..N; even ones belong to position 2, odd ones to position 1
  W,            \* events in flight at most, without marks
  Reserve,      \* step by which dispatched_through is reserved ahead (4,096 in the product)
  Max,          \* max_attempts
  KillLimit,    \* this many deaths under its own mark dead-letter an event (3)
  ServerKillers,\* their run ends the server process
  HostKillers,  \* their run ends the host and every worker with it
  Failers,      \* their attempts may fail
  PowerCuts,    \* deaths of the server that no event caused
  CleanStops,
  \* ---- rules ----
  ReserveFirst,  \* dispatched_through is durable before dispatch passes it
  AloneInServer, \* alone = nothing else in flight in the whole server (else: in its position)
  CapAtMax,      \* dead letter at KillLimit deaths or at Max charged, whichever is first
  CleanKeeps,    \* a clean stop does not forget suspects; only their outcome does
  HostSuspects,  \* deaths of the host make suspects as well
  ChargeAtomic   \* charge and removal of the mark are one transaction

E == 1..N
Pos(e) == IF e % 2 = 1 THEN 1 ELSE 2
VARIABLES j, up, fly, hs, left, g
vars == <<j, up, fly, hs, left, g>>
\* j: fin, charged, kills, mark (set of marked events), dt, b1, b2, clean
\*    b1[p]: dispatched_through at the last unclean stop; b2[p]: at the one before. What is
\*    unfinished below b2 was under suspicion twice. Two numbers a partition are enough.
\* hs[e]: in memory: host deaths that found e in flight (0..2)

Init == /\ j = [fin |-> [e \in E |-> "none"], charged |-> [e \in E |-> 0], kills |-> [e \in E |-> 0],
                mark |-> {}, dt |-> [p \in 1..2 |-> 0], b1 |-> [p \in 1..2 |-> 0],
                b2 |-> [p \in 1..2 |-> 0], clean |-> FALSE]
        /\ up = TRUE /\ fly = {} /\ hs = [e \in E |-> 0]
        /\ left = [power |-> PowerCuts, clean |-> CleanStops]
        /\ g = [own |-> [e \in E |-> 0],   \* failures and deaths that e itself caused, from its first mark on
                cut |-> [e \in E |-> 0],   \* power cuts that hit while e was marked
                die |-> [e \in E |-> 0]]   \* all server deaths caused by e

Min(a, b) == IF a < b THEN a ELSE b
Todo   == {e \in E : j.fin[e] = "none"}
Twice(e) == e \in Todo /\ (e <= j.b2[Pos(e)] \/ (HostSuspects /\ hs[e] >= 2))
Near(e) == IF AloneInServer THEN E ELSE {x \in E : Pos(x) = Pos(e)}
Finish(jj, e, o) == [jj EXCEPT !.fin[e] = o, !.mark = @ \ {e}]
Charge(jj, e, death) ==
  LET c == [jj EXCEPT !.charged[e] = @ + 1, !.kills[e] = IF death THEN @ + 1 ELSE @, !.mark = @ \ {e}]
      over == \/ c.kills[e] >= KillLimit
              \/ (c.charged[e] >= Max /\ (CapAtMax \/ ~death))
  IN
  IF over THEN [c EXCEPT !.fin[e] = "dead"] ELSE c

ReserveMore(p) ==
  /\ up /\ \E e \in Todo : Pos(e) = p /\ e = j.dt[p] + (IF j.dt[p] = 0 THEN p ELSE 2)
  /\ j' = [j EXCEPT !.dt[p] = Min(j.dt[p] + (IF j.dt[p] = 0 THEN p ELSE 2) + 2 * (Reserve - 1), N + 2)]
  /\ UNCHANGED <<up, fly, hs, left, g>>
Dispatch(e) ==
  /\ up /\ e \in Todo \ fly /\ ~Twice(e) /\ (ReserveFirst => e <= j.dt[Pos(e)]) /\ Cardinality(fly) < W
  /\ \A x \in Near(e) : ~Twice(x) /\ x \notin j.mark
  /\ fly' = fly \cup {e} /\ UNCHANGED <<j, up, hs, left, g>>
Mark(e) ==             \* durable, then it runs alone
  /\ up /\ Twice(e) /\ e \notin fly /\ fly \cap Near(e) = {} /\ j.mark \cap Near(e) = {}
  /\ j' = [j EXCEPT !.mark = @ \cup {e}] /\ fly' = fly \cup {e}
  /\ UNCHANGED <<up, hs, left, g>>
Good(e) ==
  /\ up /\ e \in fly /\ e \notin ServerKillers \cup HostKillers
  /\ j' = Finish(j, e, "ok") /\ fly' = fly \ {e} /\ UNCHANGED <<up, hs, left, g>>
Fails(e) ==            \* an ordinary failure, or the death of its own worker
  /\ up /\ e \in fly /\ e \in Failers
  /\ j' = Charge(j, e, FALSE) /\ fly' = fly \ {e}
  /\ g' = [g EXCEPT !.own[e] = Min(@ + 1, 9)] /\ UNCHANGED <<up, hs, left>>

Down == up' = FALSE /\ fly' = {} /\ hs' = [e \in E |-> 0]
KillsServer(e) ==
  /\ up /\ e \in fly /\ e \in ServerKillers /\ Down
  /\ g' = [g EXCEPT !.own[e] = Min(@ + 1, 9), !.die[e] = Min(@ + 1, 9)]
  /\ j' = [j EXCEPT !.clean = FALSE] /\ UNCHANGED left
PowerCut ==
  /\ up /\ left.power > 0 /\ left' = [left EXCEPT !.power = @ - 1] /\ Down
  /\ g' = [g EXCEPT !.cut = [e \in E |-> IF e \in j.mark THEN @[e] + 1 ELSE @[e]]]
  /\ j' = [j EXCEPT !.clean = FALSE]
CleanStop ==           \* drained
  /\ up /\ left.clean > 0 /\ left' = [left EXCEPT !.clean = @ - 1] /\ fly = {} /\ Down
  /\ j' = [j EXCEPT !.clean = TRUE] /\ UNCHANGED g
KillsHost(e) ==
  /\ up /\ e \in fly /\ e \in HostKillers
  /\ g' = [g EXCEPT !.own[e] = Min(@ + 1, 9)]
  /\ hs' = IF HostSuspects THEN [x \in E |-> IF x \in fly THEN Min(hs[x] + 1, 2) ELSE hs[x]] ELSE hs
  /\ j' = IF HostSuspects /\ e \in j.mark THEN Charge(j, e, TRUE) ELSE [j EXCEPT !.mark = @ \ fly]
  /\ fly' = {} /\ UNCHANGED <<up, left>>

\* Start: one transaction raises owner_epoch, charges what died under its mark, and moves the
\* borders of suspicion; `clean` is taken back before anything is dispatched.
Charges(jj) ==
  LET c(e) == IF e \in jj.mark THEN Charge(jj, e, TRUE) ELSE jj IN
  [jj EXCEPT !.charged = [e \in E |-> c(e).charged[e]], !.kills = [e \in E |-> c(e).kills[e]],
             !.fin = [e \in E |-> c(e).fin[e]], !.mark = {}]
Start ==
  /\ ~up /\ up' = TRUE
  /\ LET c == IF j.clean THEN [j EXCEPT !.mark = {}] ELSE Charges(j) IN
     j' = [c EXCEPT !.clean = FALSE,
             !.b2 = IF j.clean THEN (IF CleanKeeps THEN j.b2 ELSE [p \in 1..2 |-> 0]) ELSE j.b1,
             !.b1 = IF j.clean THEN (IF CleanKeeps THEN j.b1 ELSE [p \in 1..2 |-> 0]) ELSE j.dt]
  /\ UNCHANGED <<fly, hs, left, g>>
\* canary: the charge is written, and only then the mark removed; a power cut may fall between
ChargeOnly ==
  /\ ~ChargeAtomic /\ ~up /\ left.power > 0 /\ j.mark # {} /\ ~j.clean
  /\ left' = [left EXCEPT !.power = @ - 1]
  /\ j' = [Charges(j) EXCEPT !.mark = j.mark] /\ UNCHANGED <<up, fly, hs, g>>

Next == \/ \E e \in E : Dispatch(e) \/ Mark(e) \/ Good(e) \/ Fails(e) \/ KillsServer(e) \/ KillsHost(e)
        \/ \E p \in 1..2 : ReserveMore(p)
        \/ PowerCut \/ CleanStop \/ Start \/ ChargeOnly
Fair == /\ WF_vars(Start)
        /\ \A e \in E : /\ WF_vars(Dispatch(e)) /\ WF_vars(Mark(e)) /\ WF_vars(Good(e))
                        /\ WF_vars(KillsServer(e) \/ KillsHost(e) \/ Fails(e))
        /\ \A p \in 1..2 : WF_vars(ReserveMore(p))
\* Dispatch and Mark are polled: whoever waits long enough gets its turn.
Spec == Init /\ [][Next]_vars
LiveSpec == Spec /\ Fair /\ \A e \in E : SF_vars(Dispatch(e)) /\ SF_vars(Mark(e))

Innocent == E \ (ServerKillers \cup HostKillers \cup Failers)
I6_Max == \A e \in E : j.charged[e] <= Max
\* Nobody pays for another event's deed. A power cut under one's own mark cannot be told apart.
I6_Innocent == \A e \in E : j.charged[e] <= g.own[e] + g.cut[e]
\* "An innocent never does", without more; false as soon as power is cut often enough.
NeverDead   == \A e \in Innocent : j.fin[e] # "dead"
DeadBound   == \A e \in Innocent : j.fin[e] = "dead" => g.cut[e] >= Min(KillLimit, Max)
\* One poison event costs at most two deaths to be suspected and KillLimit more to be buried.
DeathBound  == \A e \in E : g.die[e] <= 2 + Min(KillLimit, Max)
I7 == <>[](\A e \in E : j.fin[e] # "none")
=============================================================================
