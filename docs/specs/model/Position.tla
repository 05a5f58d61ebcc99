------------------------------ MODULE Position ------------------------------
(***************************************************************************)
(* What moves a position from outside while the engine works: seek (a new  *)
(* pass), forget, retention, replay of a dead letter, and a commit that is *)
(* under way meanwhile. Attempts, chains, versions are in Delivery.tla.    *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
  N,          \* offsets 1..N of the topic's partition; N+1 is the one replay slot
  KeyOf, Max, Failers,
  Seeks, Forgets, Crashes, Drops, \* Drops: how often retention removes one more record
  \* ---- rules ----
  PassFence,   \* a commit carries its pass and is refused when a seek has begun another
  PassLocks,   \* an event of an old pass holds its key until its outcome or its end is known
  EpochKept,   \* owner_epoch survives forget (it never starts over)
  ExpireGone,  \* expired = unfinished, not in flight, and its bytes are nowhere any more
  SharedLocks, \* replays take the same key locks as the topic's partition
  KeepBytes    \* the first failure stores the event's bytes

T == 1..N
R == N + 1                \* the replay slot, in the internal partition
E == 1..(N + 1)
KeysAAB == <<1, 1, 2>>
VARIABLES j, eng, run, linger, lo, left, bad
vars == <<j, eng, run, linger, lo, left, bad>>
\* j   journal: inc (ghost: which life of the position), epoch, pass, cursor, fin, charged, kept,
\*     origin (what the replay slot replays; 0 = empty)
\* eng the engine: epoch and pass it believes in, st, have (bytes in memory), box (commit under way)
\* run runs in workers: [pass, e];  lo: log start

Key(e) == IF e = R THEN KeyOf[IF j.origin = 0 THEN 1 ELSE j.origin] ELSE KeyOf[e]
Min(a, b) == IF a < b THEN a ELSE b
First(F)  == CHOOSE c \in 1..(N+1) : (\A x \in 1..(c-1) : x \in F) /\ (c = N+1 \/ c \notin F)
None == [e \in E |-> "none"]
Load(jj) == [ep |-> jj.epoch, pass |-> jj.pass, have |-> {}, box |-> {},
             st |-> [e \in E |-> IF jj.fin[e] = "none" THEN "wait" ELSE "fin"], ch |-> jj.charged]
Init == /\ j = [inc |-> 1, epoch |-> 1, pass |-> 1, cursor |-> 1, fin |-> None,
                charged |-> [e \in E |-> 0], kept |-> {}, origin |-> 0]
        /\ eng = Load(j) /\ run = {} /\ linger = {} /\ lo = 1 /\ bad = {}
        /\ left = [seek |-> Seeks, forget |-> Forgets, crash |-> Crashes, drop |-> Drops]

Exists(e) == e # R \/ j.origin # 0
Bytes(e)  == e \in eng.have \/ e \in j.kept \/ e = R
Read(e) == /\ e \in T /\ e >= lo /\ eng.st[e] = "wait" /\ e \notin eng.have
           /\ eng' = [eng EXCEPT !.have = @ \cup {e}] /\ UNCHANGED <<j, run, linger, lo, left, bad>>
Locked(e) == \E r \in run : /\ Key(r.e) = Key(e)
                            /\ r.pass = eng.pass \/ PassLocks
                            /\ SharedLocks \/ (r.e = R) = (e = R)
Dispatch(e) ==
  /\ eng.st[e] = "wait" /\ Exists(e) /\ Bytes(e) /\ ~Locked(e)
  /\ e # R => \A x \in T : x < e /\ Key(x) = Key(e) => eng.st[x] \in {"ok", "fin"}
  /\ run' = run \cup {[pass |-> eng.pass, e |-> e]}
  /\ eng' = [eng EXCEPT !.st[e] = "fly"]
  /\ bad' = bad \cup (IF \E r \in run : Key(r.e) = Key(e) THEN {"I3-overlap"} ELSE {})
  /\ UNCHANGED <<j, linger, lo, left>>
Finish(r) ==              \* an outcome of an old pass only frees its key
  /\ run' = run \ {r}
  /\ \E o \in {"ok"} \cup (IF r.e \in Failers THEN {"fail"} ELSE {}) :
       eng' = IF r.pass = eng.pass /\ eng.st[r.e] = "fly" THEN [eng EXCEPT !.st[r.e] = o] ELSE eng
  /\ UNCHANGED <<j, linger, lo, left, bad>>
Ends(e) == eng.ch[e] + 1 >= Max
Commit ==
  /\ eng.box = {} /\ \E e \in E : eng.st[e] \in {"ok", "fail"}
  /\ LET ok == {e \in E : eng.st[e] = "ok"}
         fl == {e \in E : eng.st[e] = "fail"}
     IN eng' = [eng EXCEPT !.box = {[inc |-> j.inc, ep |-> eng.ep, pass |-> eng.pass, ok |-> ok, fail |-> fl,
                  dead |-> {e \in fl : Ends(e)},
                  cur |-> First({e \in T : eng.st[e] \in {"ok", "fin"} \/ (eng.st[e] = "fail" /\ Ends(e))})]}]
  /\ UNCHANGED <<j, run, linger, lo, left, bad>>
Fits(b) == b.ep = j.epoch /\ (PassFence => b.pass = j.pass)
Effect(b) == [j EXCEPT !.fin = [e \in E |-> IF e \in b.ok THEN "ok" ELSE IF e \in b.dead THEN "dead" ELSE @[e]],
                       !.charged = [e \in E |-> IF e \in b.fail THEN @[e] + 1 ELSE @[e]],
                       !.kept = IF KeepBytes THEN @ \cup b.fail ELSE @,
                       !.cursor = b.cur]
Judge(b) == (IF b.inc # j.inc THEN {"I9"} ELSE {})
       \cup (IF \E e \in b.ok \cup b.fail : j.fin[e] # "none" THEN {"I1-twice-final"} ELSE {})
Apply ==
  /\ \E b \in eng.box :
       IF Fits(b)
       THEN /\ j' = Effect(b) /\ bad' = bad \cup Judge(b)
            /\ eng' = [eng EXCEPT !.box = {}, !.ch = [e \in E |-> IF e \in b.fail THEN Min(@[e] + 1, Max) ELSE @[e]],
                         !.st = [e \in E |-> IF e \in b.ok \cup b.dead THEN "fin" ELSE IF e \in b.fail THEN "wait" ELSE @[e]]]
       ELSE eng' = [eng EXCEPT !.box = {}] /\ UNCHANGED <<j, bad>>   \* refused; Told follows
  /\ UNCHANGED <<run, linger, lo, left>>
Late(b) ==
  /\ b \in linger /\ linger' = linger \ {b}
  /\ IF Fits(b) THEN j' = Effect(b) /\ bad' = bad \cup Judge(b) ELSE UNCHANGED <<j, bad>>
  /\ UNCHANGED <<eng, run, lo, left>>

\* POST ?from=c: one transaction. Backward: a new pass over c.. ; forward: what lies between and
\* is not finished becomes skipped, by the user's wish. The engine is told afterwards.
Seek(c) ==
  /\ left.seek > 0 /\ c # j.cursor /\ left' = [left EXCEPT !.seek = @ - 1]
  /\ j' = [j EXCEPT !.pass = @ + 1, !.cursor = c,
             !.fin = [e \in E |-> IF e = R THEN @[e] ELSE IF e >= c THEN "none"
                                  ELSE IF @[e] = "none" THEN "skipped" ELSE @[e]],
             !.charged = [e \in E |-> IF e = R THEN @[e] ELSE 0],
             !.kept = {e \in @ : e >= c}]
  /\ UNCHANGED <<eng, run, linger, lo, bad>>
Told ==                   \* the engine takes over the new pass; old runs go on in their workers
  /\ eng.pass # j.pass /\ eng.ep = j.epoch
  /\ eng' = [Load(j) EXCEPT !.st = [e \in E |-> IF e = R THEN eng.st[R] ELSE @[e]],
                            !.ch = [e \in E |-> IF e = R THEN eng.ch[R] ELSE @[e]]]
  /\ linger' = linger \cup eng.box
  /\ run' = {IF r.e = R THEN [r EXCEPT !.pass = j.pass] ELSE r : r \in run}
  /\ UNCHANGED <<j, lo, left, bad>>
Crash ==                  \* and a start; the old workers are gone before it (Delivery.tla, LeaseWait)
  /\ left.crash > 0 /\ left' = [left EXCEPT !.crash = @ - 1]
  /\ j' = [j EXCEPT !.epoch = @ + 1] /\ eng' = Load(j') /\ run' = {} /\ linger' = linger \cup eng.box
  /\ UNCHANGED <<lo, bad>>
Forget ==                 \* DELETE ?position=forget, then POST ?from=earliest
  /\ left.forget > 0 /\ left' = [left EXCEPT !.forget = @ - 1]
  /\ j' = [inc |-> j.inc + 1, epoch |-> IF EpochKept THEN j.epoch + 1 ELSE 1, pass |-> 1, cursor |-> 1,
           fin |-> None, charged |-> [e \in E |-> 0], kept |-> {}, origin |-> 0]
  /\ eng' = Load(j') /\ run' = {} /\ linger' = linger \cup eng.box /\ UNCHANGED <<lo, bad>>
Drop ==                   \* retention removes the oldest record
  /\ left.drop > 0 /\ lo <= N /\ left' = [left EXCEPT !.drop = @ - 1]
  /\ lo' = lo + 1 /\ UNCHANGED <<j, eng, run, linger, bad>>
\* The engine finds records gone (one journal step; no commit of it is under way).
Gone == IF ExpireGone
        THEN {e \in T : e < lo /\ j.fin[e] = "none" /\ eng.st[e] = "wait" /\ ~Bytes(e)}
        ELSE {e \in T : e < lo /\ e >= j.cursor}     \* simply "what is lost"
Expire ==
  /\ eng.box = {} /\ eng.pass = j.pass /\ eng.ep = j.epoch /\ Gone # {}
  /\ bad' = bad \cup (IF \E e \in Gone : j.fin[e] # "none" THEN {"I1-twice-final"} ELSE {})
                \cup (IF \E e \in Gone : j.fin[e] = "none" /\ (Bytes(e) \/ \E r \in run : r.e = e)
                      THEN {"expired-though-there"} ELSE {})
                \cup (IF \E e \in Gone : j.charged[e] > 0 THEN {"expired-while-retrying"} ELSE {})
  /\ LET fin2 == [e \in E |-> IF e \in Gone THEN "expired" ELSE j.fin[e]] IN
     /\ j' = [j EXCEPT !.fin = fin2, !.cursor = First({e \in T : fin2[e] # "none"})]
     /\ eng' = [eng EXCEPT !.st = [e \in E |-> IF e \in Gone /\ @[e] = "wait" THEN "fin" ELSE @[e]]]
  /\ UNCHANGED <<run, linger, lo, left>>
Replay(e) ==              \* the dead letter is copied into the internal partition, bytes included
  /\ j.fin[e] = "dead" /\ e \in T /\ j.origin = 0
  /\ j' = [j EXCEPT !.origin = e] /\ UNCHANGED <<eng, run, linger, lo, left, bad>>

Engine == \/ \E e \in E : Dispatch(e) \/ Read(e)
          \/ \E r \in run : Finish(r)
          \/ Commit \/ Apply \/ Told \/ Expire
Next == \/ Engine
        \/ \E b \in linger : Late(b)
        \/ \E c \in 1..(N+1) : Seek(c)
        \/ Crash \/ Forget \/ Drop
        \/ \E e \in T : Replay(e)
Spec == Init /\ [][Next]_vars
LiveSpec == /\ Spec /\ \A e \in E : SF_vars(Dispatch(e)) /\ WF_vars(Read(e))
            /\ WF_vars(\E r \in run : Finish(r))
            /\ WF_vars(Commit) /\ WF_vars(Apply)
            /\ WF_vars(Told) /\ WF_vars(Expire)

I1 == "I1-twice-final" \notin bad
I3_Overlap == "I3-overlap" \notin bad
I4 == \A x \in 1..(j.cursor - 1) : j.fin[x] # "none"
I9 == "I9" \notin bad
ExpiredHonest == {"expired-though-there", "expired-while-retrying"} \cap bad = {}
I7 == <>[](j.cursor = N + 1 /\ \A e \in E : Exists(e) => j.fin[e] # "none")
=============================================================================
