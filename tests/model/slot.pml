// SPDX-License-Identifier: MIT
// The protocol of one worker's ring of slots (src/shm/ring.h, src/shm/channel.h) with the stop
// gate, for exhaustive search by Spin: check.sh runs it, docs/model.md says what it shows.
//
// Bounds, by -D: a call of ITEMS items is sent in tasks of up to COUNT; the parent closes the gate
// or looks again up to STOPS times and takes back up to TAKES times; the worker dies up to DEATHS
// times by itself, and whenever it is killed. SLEEPS: it waits on its futex, not by looking.
//
// Every other #ifdef leaves a step out or does it wrong. check.sh wants each to be found.

// Two slots and the laps 1 and 2: ring indices count modulo 4.
#define SLOT(i) ((i) & 1)
#ifdef ONE_LAP
#define LAP(i) 1
#else
#define LAP(i) (((i) >> 1) + 1)
#endif
#define NEXT(i) (((i) + 1) & 3)

// Sets of items.
#define BIT(item) (1 << (item))
#define RANGE(from, to) ((1 << (to)) - (1 << (from)))
#define ALL RANGE(0, ITEMS)

// ---- what parent and worker share ---------------------------------------------------------------

typedef task_slot {
  byte lap, next, end;  // one word: whoever changes it does so in one atomic statement
  byte first;           // the call's item that is item 0 of the task
  bool leave
};
typedef reply_slot {
  byte lap;  // the word
  bool stopped;
  byte progress
};
task_slot task[2];
reply_slot reply[2];
bit gate;  // 1: closed
bit asleep;
bool rung;  // the bell has changed since the worker read it

// ---- the worker as the machine sees it ----------------------------------------------------------

bool alive = true;
bool killed;  // the signal is on its way
bool reaped;
bool left;  // as it was told
byte at;    // the ring index it works on or waits for
#define HERE task[SLOT(at)]

// Its store buffer: values for that index's progress, or one of these for the reply's word.
#define PUBLISH 14
#define PUBLISH_STOPPED 15
chan buffer = [6] of { byte };

inline store(what) {
  if
  :: what >= PUBLISH ->
    reply[SLOT(at)].stopped = (what == PUBLISH_STOPPED);
    reply[SLOT(at)].lap = LAP(at)
  :: else -> reply[SLOT(at)].progress = what
  fi;
  what = 0
}
inline drain(what) {
  do
  :: nempty(buffer) -> buffer?what; store(what)
  :: empty(buffer) -> break
  od
}

// ---- what the properties are about --------------------------------------------------------------

#define NONE 15
byte running = NONE;         // from its look at the open gate until its 2k + 2 is stored
byte begun, finished;        // the items that have passed the one, the other
byte queue = ALL;            // not sent, or back again
byte values, deaths, stops;  // outcomes
#define OUTCOMES (values | deaths | stops)
byte victim = NONE;  // the item that the parent has committed to stop
bool sealed;         // the gate is closed and the membarrier done
bool looking;        // the parent looks for what runs
byte owed;           // closings of the gate that have ended no task early yet

#define KILL_IS_EXACT (running == NONE || running == victim)

// Nothing is begun twice, or begun while it stands in the queue, or behind a closed gate.
inline begin_item() {
  assert(((begun | queue | OUTCOMES) & BIT(HERE.first + k)) == 0);
  assert(!sealed);
  begun = begun | BIT(HERE.first + k);
  running = HERE.first + k
}
inline finish_item() {
  buffer!2 * k + 2;
  finished = finished | BIT(running);
  running = NONE
}

// ---- the worker ---------------------------------------------------------------------------------

#ifdef WAIT_WITHOUT_GATE
#define READY (HERE.lap == LAP(at))
#else
#define READY (HERE.lap == LAP(at) && gate == 0)
#endif

active proctype worker() {
  byte k, to;
boot:
  {
    goto wait;
wait:
#ifdef SLEEPS
    if
    :: READY -> goto receive
    :: !READY
    fi;
    rung = false;
    asleep = 1;  // and a fence; its buffer is empty here
#ifndef SLEEP_WITHOUT_LOOK
    if
    :: READY -> goto awake
    :: !READY
    fi;
#endif
#ifndef NEVER_SLEEP
    rung;
#endif
awake:
    atomic { asleep = 0; rung = false };
    goto wait;
#else
    READY;
#endif
receive:
    if
    :: HERE.leave -> left = true; goto gone
    :: !HERE.leave
    fi;
claim:
    // A block of one item or of two. The compare-and-swap is a fence; to find nothing is a load.
    if
    :: d_step { HERE.next == HERE.end -> buffer!PUBLISH }; goto fence
    :: d_step { HERE.next < HERE.end -> drain(k); k = HERE.next; to = k + 1; HERE.next = to }
    :: d_step { HERE.next + 1 < HERE.end -> drain(k); k = HERE.next; to = k + 2; HERE.next = to }
    fi;
item:
#ifdef GATE_BEFORE_PROGRESS
    if
    :: gate == 0
    :: gate == 1 -> goto obey
    fi;
    atomic { buffer!2 * k + 1; begin_item() };
#else
    buffer!2 * k + 1;
    if
    :: d_step { gate == 0 -> begin_item() }
    :: gate == 1 -> goto obey
    fi;
#endif
    if
    :: d_step { k + 1 < to -> finish_item(); k++ }; goto item
    :: d_step { k + 1 == to -> finish_item(); k = 0; to = 0 }; goto claim
    fi;
obey:
#ifndef PROGRESS_STAYS_ODD
    buffer!2 * k;
#endif
    atomic { buffer!PUBLISH_STOPPED; k = 0; to = 0 };
fence:
    atomic { drain(k); k = 0; at = NEXT(at) };
    goto wait
  } unless {
    d_step { !alive -> k = 0; to = 0; rung = false; reaped = true }
  };
end_dead:
  d_step { !reaped -> alive = true };  // its successor
  goto boot;
gone:
  skip
}

// Its stores become visible in order, at any time, after its death at the latest; it dies between
// any two steps. When they become visible matters to a parent that looks for what runs, and to
// nobody else: all other reading comes after a fence or a death.
active proctype machine() {
  byte what, died;
end:
  do
  :: d_step { looking && nempty(buffer) -> buffer?what; store(what) }
  :: d_step { alive && !left && died < DEATHS ->
      died++;
      drain(what); running = NONE; alive = false
    }
  :: d_step { alive && !left && killed ->
      assert(KILL_IS_EXACT);
      drain(what); running = NONE; alive = false
    }
  od
}

// ---- the parent ---------------------------------------------------------------------------------

#define PUBLISHED(i) (reply[SLOT(i)].lap == LAP(i))

inline wake() {
#ifdef SLEEPS
  if
  :: asleep == 1 -> asleep = 0; rung = true
  :: asleep == 0
  fi
#else
  skip
#endif
}

inline open_gate() {
  gate = 0; sealed = false;
  committed = false; target = 0; k = 0; victim = NONE
}

// What goes back to the queue has not been begun.
inline put_back(set) {
  assert((set & (begun | queue | OUTCOMES)) == 0);
  queue = queue | set
}

// Index `read` is over: `done` items are finished, the next is blamed for a death (1) or not (0).
inline settle() {
  f = task[SLOT(read)].first;
  v = RANGE(f, f + done);
  d = blamed << (f + done);
  s = 0;
  q = RANGE(f + done + blamed, f + kept[SLOT(read)]);
  if
  :: committed && read == target ->
    // What the worker says of item k, and what it died of, does not count.
    assert(k <= done && done <= k + 1 && k < kept[SLOT(read)]);
#ifndef ANSWER_BEATS_COMMIT
    v = RANGE(f, f + k);
#endif
#ifdef COMMIT_LEAVES_BLAME
    d = d & ~BIT(f + k);
#else
    d = 0;
#endif
    s = BIT(f + k);
    q = RANGE(f + k + 1, f + kept[SLOT(read)]) & ~d
  :: else
  fi;
  assert(((v | d | s) & (queue | OUTCOMES)) == 0 && (v & (d | s)) == 0 && (d & s) == 0);
  assert((v & ~finished) == 0);  // no value that was not computed
  assert((d & finished) == 0);   // no death takes what was
  assert(d == 0 || !killed);     // the kill costs nobody else anything
  values = values | v; deaths = deaths | d; stops = stops | s;
  put_back(q);
  // The slot is released. What nobody reads before it is written again is forgotten: fewer states.
  reply[SLOT(read)].lap = 0; reply[SLOT(read)].stopped = false;
#ifndef PROGRESS_STAYS
  reply[SLOT(read)].progress = 0;
#endif
  task[SLOT(read)].next = 0; task[SLOT(read)].end = 0; task[SLOT(read)].first = 0;
  kept[SLOT(read)] = 0;
  read = NEXT(read);
  f = 0; v = 0; d = 0; s = 0; q = 0; done = 0; blamed = 0
}

// Behind a closed gate the progress says what runs: an even one, that nothing does.
inline look_at_progress() {
  p = reply[SLOT(j)].progress;
#ifndef NO_MEMBARRIER  // which the kill is to find
  assert(running == NONE || (p % 2 == 1 && running == task[SLOT(j)].first + p / 2));
#endif
  looking = false
}

active proctype parent() {
  byte read, tail;   // ring indices: [read, tail) are sent and not answered
  byte kept[2];      // items that stay with the worker
  bool committed;    // item k of index target is the parent's
  byte target, k;
  byte looks, takes;
  byte j, p, f, v, d, s, q, done, blamed;  // 0 between two of the choices below

  do
  // Sends what stands first in the queue.
  :: d_step { queue != 0 && tail != ((read + 2) & 3) ->
      do
      :: (queue & BIT(f)) == 0 -> f++
      :: else -> break
      od;
      do
      :: v < COUNT && (queue & BIT(f + v)) != 0 -> queue = queue & ~BIT(f + v); v++
      :: else -> break
      od;
#ifndef PROGRESS_STAYS
      reply[SLOT(tail)].progress = 0;
#endif
      task[SLOT(tail)].first = f;
      task[SLOT(tail)].end = v;
      task[SLOT(tail)].lap = LAP(tail);
      kept[SLOT(tail)] = v;
      tail = NEXT(tail);
      f = 0; v = 0
    };
    wake()

  // Takes back, of any task and from any item on, what is not claimed.
  :: atomic { takes < TAKES && read != tail ->
      takes++;
      j = read;
      if
      :: NEXT(read) != tail -> j = NEXT(read)
      :: true
      fi;
      do
      :: p + 1 < kept[SLOT(j)] -> p++
      :: break
      od;
      if
      :: p < task[SLOT(j)].next -> p = task[SLOT(j)].next
      :: else
      fi
#ifdef TAKE_BACK_STORES
    };
    atomic { true;
#else
      ;
#endif
      if
      :: p < task[SLOT(j)].end ->
        task[SLOT(j)].end = p;
        f = task[SLOT(j)].first;
        q = RANGE(f + p, f + kept[SLOT(j)]);
        put_back(q);
        kept[SLOT(j)] = p
      :: else
      fi;
      assert(task[SLOT(j)].lap == LAP(j) && task[SLOT(j)].end == kept[SLOT(j)]);
      j = 0; p = 0; f = 0; q = 0
    }

  // Reads the next answer. One closing of the gate ends one task early at most.
  :: d_step { read != tail && PUBLISHED(read) ->
      done = reply[SLOT(read)].progress / 2;
      assert(reply[SLOT(read)].progress % 2 == 0 && done <= kept[SLOT(read)]);
      assert((done < kept[SLOT(read)]) == reply[SLOT(read)].stopped);
      if
      :: reply[SLOT(read)].stopped -> assert(owed > 0); owed--
      :: else
      fi;
      p = (committed && read == target);
      settle()
    };
    // The worker has obeyed; but a kill that is on its way must not find it elsewhere.
    if
#ifdef OPEN_UNDER_KILL
    :: d_step { p == 1 -> p = 0; open_gate() };
#else
    :: d_step { p == 1 && !killed -> p = 0; open_gate() };
#endif
#ifndef OPEN_WITHOUT_WAKE
      wake()
#endif
    :: else -> p = 0
    fi

  // Closes the gate and looks what runs. Which item it is out for makes no difference until then:
  // below, it may have been this one or another.
  :: d_step { looks < STOPS && read != tail && gate == 0 ->
      looks++;
      gate = 1; owed++;
      j = read; looking = true
    };
#ifndef NO_MEMBARRIER
    d_step { drain(p); p = 0; sealed = true };
#endif
    goto look

  // Looks again, for another item.
  :: d_step { looks < STOPS && read != tail && gate == 1 && !committed ->
      looks++;
      j = read; looking = true
    };
look:
    if
    :: j != tail && PUBLISHED(j) -> j = NEXT(j); goto look
    :: d_step { j == tail -> assert(running == NONE); looking = false; j = 0 }
    :: j != tail && !PUBLISHED(j) ->
      if
      :: d_step { true -> look_at_progress(); j = 0; p = 0 }
      :: d_step { reply[SLOT(j)].progress % 2 == 1 ->
          look_at_progress();
          committed = true; target = j; k = p / 2; victim = task[SLOT(j)].first + k;
          j = 0; p = 0
        }
      fi
    fi

  // Opens the gate again, at once or later.
  :: d_step { gate == 1 && !committed -> open_gate() };
#ifndef OPEN_WITHOUT_WAKE
    wake()
#endif

  :: d_step { committed && !killed -> assert(KILL_IS_EXACT); killed = true }

  // The worker is dead: salvages what it left unanswered, and starts another.
  :: d_step { reaped && (read == tail || !PUBLISHED(read)) ->
      do
      :: read != tail ->
        done = reply[SLOT(read)].progress / 2;
        blamed = reply[SLOT(read)].progress % 2;
#ifdef SALVAGE_RUNS_AGAIN
        blamed = 0;
#endif
        assert(done + blamed <= kept[SLOT(read)]);
        settle()
      :: else -> break
      od;
      open_gate();
      asleep = 0; owed = 0;
      at = tail;
      killed = false; reaped = false
    }

  :: queue == 0 && read == tail && gate == 0 && !killed -> break
  od;

  // Every item has its outcome; settle() has seen to it that none has two.
  assert(OUTCOMES == ALL);
  d_step {
    task[SLOT(tail)].leave = true;
    task[SLOT(tail)].lap = LAP(tail)
  };
  wake();
  left || reaped
}
