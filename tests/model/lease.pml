/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease protocol of one session: hosts, one server, and what lies between them. docs/spec/leases.md
 * says what is covered; check-model runs it.
 *
 *   Host h --- to_store[h] --->  Store  --- to_host[h] ---> Host h          Clock: a tick for everybody
 *
 * Two networks, one protocol:
 *   default   each direction is a set: any message may overtake, be lost, or be delivered again later. For
 *             safety. Two things that a connection promises are kept: a first attempt of a commit arrives
 *             once at most (what is sent again is marked so), and an answer counts only for the attempt that
 *             the host is waiting for, as answers on a connection that was given up never arrive.
 *   LIVE      each direction is a queue that can be cut, as TCP is. For liveness.
 *
 * Pauses need no action of their own: a process that is not scheduled is paused, while the clock goes on.
 */

#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef TTL
#define TTL 3 /* ticks */
#endif
#define MARGIN 1
#ifndef SLOTS
#define SLOTS 2 /* messages under way, each direction and host */
#endif
#ifndef LIVES
#define LIVES 2 /* host sessions after the first, of all hosts together */
#endif
#ifndef ASKS
#define ASKS 3 /* requests for the lease, of all hosts together */
#endif
#ifndef COMMITS
#define COMMITS 2 /* in the whole run */
#endif
#ifndef RESTARTS
#define RESTARTS 1 /* of the server */
#endif
#ifndef LAGS
#define LAGS 1 /* ticks that a host's clock may lose between two renewals: as much as the margin allows */
#endif
#ifndef BREAKS
#define BREAKS 0 /* leases broken by an administrator */
#endif
#ifndef DETACHES
#define DETACHES 0 /* connections whose end the server takes for the host's death too early */
#endif
#ifndef CUTS
#define CUTS 1 /* LIVE: broken connections */
#endif
#ifndef DEATHS
#define DEATHS 1 /* LIVE: hosts that are gone for ever */
#endif
#ifndef REFUSALS
#define REFUSALS 1 /* LIVE: recalls that are answered with no */
#endif

/* --- messages ---------------------------------------------------------------------------------- */

#define MSG(kind, num, seq, retry, tok, base, op)                                                    \
    ((kind) << 24 | (num) << 21 | (seq) << 17 | (retry) << 16 | (tok) << 12 | (base) << 9 | (op) << 6)
#define KIND(m) ((m) >> 24)
#define NUM(m) (((m) >> 21) & 7)
#define SEQ(m) (((m) >> 17) & 15)
#define RETRY(m) (((m) >> 16) & 1)
#define TOK(m) (((m) >> 12) & 15)
#define BASE(m) (((m) >> 9) & 7)
#define OP(m) (((m) >> 6) & 7)
#define AGE(m) ((m) & 63) /* ticks since the request was sent, of what is renewed by it */

/* To the store. */
#define REGISTER 1
#define BEAT 2
#define ASK 3
#define WITHDRAW 4
#define RELEASE 5
#define REFUSE 6
#define COMMIT 7
/* To a host. */
#define REGISTERED 1
#define RENEWED 2
#define DEAD 3
#define GRANTED 4
#define BUSY 5
#define RELEASED 6
#define DONE 7
#define FENCED 8
#define CONFLICT 9
#define RECALL 10

/* A message is not 0. Each host has its slots towards the store and its slots from the store. */
int net[2 * HOSTS * SLOTS];
#define TO_STORE(h) ((h) * SLOTS)
#define TO_HOST(h) ((HOSTS + (h)) * SLOTS)

/* Kept over several steps of one atomic sequence; 0 in between. */
int m;
byte at, yes;
/* Used within one step only. */
hidden int m2;
hidden byte i, j, k, who;

/* A set is kept sorted, so that equal sets are equal states; what finds no room is lost. */
inline put(way, msg)
{
    m2 = msg;
    j = 0;
    do
#ifdef LIVE
    :: j < SLOTS && net[way + j] != 0 -> j++
#else
    :: j < SLOTS && net[way + j] != 0 && net[way + j] < m2 -> j++
#endif
    :: else -> break
    od;
    if
#ifdef LIVE
    :: j == SLOTS -> assert(false) /* too few slots for this configuration */
#endif
    :: j < SLOTS && net[way + j] != m2 && net[way + SLOTS - 1] == 0 ->
        k = SLOTS - 1;
        do
        :: k > j -> net[way + k] = net[way + k - 1]; k--
        :: else -> break
        od;
        net[way + j] = m2
    :: else -> skip
    fi
}

inline take_out(way, slot)
{
    k = slot;
    do
    :: k < SLOTS - 1 -> net[way + k] = net[way + k + 1]; k++
    :: else -> break
    od;
    net[way + SLOTS - 1] = 0
}

/* Inside atomic: sets `m` to a message that arrives. */
inline receive(way)
{
#ifndef LIVE
    do
    :: at < SLOTS - 1 && net[way + at + 1] != 0 -> at++
    :: break
    od;
#endif
    m = net[way + at];
#ifdef LIVE
    d_step { take_out(way, at) }
#else
    if
    :: d_step { take_out(way, at) }
    :: KIND(m) != COMMIT || RETRY(m) -> skip /* it will arrive again */
    fi
#endif
}

/* --- the store ------------------------------------------------------------------------------------ */

#define FREE 0
#define HELD 1
#define RECALLED 2

/* In the database. */
byte row_state, row_host, row_num, row_token; /* the lease's row */
byte queue[HOSTS], queue_num[HOSTS], queue_seq[HOSTS]; /* those who wait: host + 1 */
byte version;
byte history_op[COMMITS + 1], history_token[COMMITS + 1];
byte known_num[HOSTS]; /* the host's last host session; 0: none yet */
bit known_dead[HOSTS];

/* In memory: ticks until the host session is dead. */
byte store_left[HOSTS];

/* What the properties are about, in no program. */
byte granted_token, granted_host, granted_num; /* the last grant */
byte broken_token;                             /* of a lease that an administrator took away */
byte detached_token; /* of one that was taken for dead while its host lived */
bit acknowledged[COMMITS + 1];

#define ALIVE(h, num) (known_num[h] == (num) && !known_dead[h] && store_left[h] > 0)
#define HOLDS(h, num) (row_state != FREE && row_host == (h) && row_num == (num))

inline leave_queue(h)
{
    j = 0;
    do
    :: j < HOSTS && queue[j] != (h) + 1 -> j++
    :: else -> break
    od;
    do
    :: j < HOSTS - 1 ->
        queue[j] = queue[j + 1];
        queue_num[j] = queue_num[j + 1];
        queue_seq[j] = queue_seq[j + 1];
        j++
    :: j == HOSTS - 1 -> queue[j] = 0; queue_num[j] = 0; queue_seq[j] = 0; j++
    :: else -> break
    od;
    skip
}

inline join_queue(h, num, seq)
{
    j = 0;
    do
    :: j < HOSTS && queue[j] != 0 && queue[j] != (h) + 1 -> j++
    :: else -> break
    od;
    queue[j] = (h) + 1;
    queue_num[j] = num;
    queue_seq[j] = seq
}

inline grant(h, num, seq)
{
#ifdef LIVE
    row_token = row_token % 2 + 1;
#else
#ifndef MUTANT_TOKEN_STAYS
    row_token++;
#else
    row_token = (row_token == 0 -> 1 : row_token);
#endif
    assert(row_token > granted_token);
#endif
    row_state = HELD;
    row_host = h;
    row_num = num;
#ifndef LIVE
    granted_token = row_token;
    granted_host = h;
    granted_num = num;
#endif
    put(TO_HOST(h), MSG(GRANTED, num, seq, 0, row_token, version, 0))
}

/* The lease is free: the first of the queue who lives gets it. */
inline free_lease()
{
    row_state = FREE;
    row_host = 0;
    row_num = 0;
#ifndef MUTANT_NO_HEIR
    do
    :: row_state == FREE && queue[0] != 0 ->
        who = queue[0] - 1;
        if
        :: ALIVE(who, queue_num[0]) -> grant(who, queue_num[0], queue_seq[0])
        :: else -> skip
        fi;
        leave_queue(who)
    :: else -> break
    od;
    if
    :: row_state == HELD && queue[0] != 0 ->
        row_state = RECALLED;
        put(TO_HOST(row_host), MSG(RECALL, row_num, 0, 0, row_token, 0, 0))
    :: else -> skip
    fi
#endif
}

inline end_host(h)
{
    known_dead[h] = 1;
    store_left[h] = 0;
    leave_queue(h);
    if
    :: row_state != FREE && row_host == (h) -> free_lease()
    :: else -> skip
    fi
}

inline renew(h)
{
    store_left[h] = TTL
}

inline on_register(h)
{
    if
    :: ALIVE(h, NUM(m)) -> /* resumed: what it may have missed is told again */
        renew(h);
        put(TO_HOST(h), MSG(REGISTERED, NUM(m), 0, 0, 0, 0, 0) | AGE(m));
        if
#ifndef MUTANT_RECALL_ONCE
        :: row_state == RECALLED && HOLDS(h, NUM(m)) ->
            put(TO_HOST(h), MSG(RECALL, NUM(m), 0, 0, row_token, 0, 0))
#endif
        :: else -> skip
        fi
#ifdef LIVE
    :: NUM(m) != known_num[h] ->
#else
    :: NUM(m) > known_num[h] ->
#endif
        end_host(h);
        known_num[h] = NUM(m);
        known_dead[h] = 0;
        renew(h);
        put(TO_HOST(h), MSG(REGISTERED, NUM(m), 0, 0, 0, 0, 0) | AGE(m))
    :: else -> put(TO_HOST(h), MSG(DEAD, NUM(m), 0, 0, 0, 0, 0))
    fi
}

inline on_beat(h)
{
    if
    :: ALIVE(h, NUM(m)) ->
        renew(h);
        put(TO_HOST(h), MSG(RENEWED, NUM(m), 0, 0, 0, 0, 0) | AGE(m))
    :: else -> put(TO_HOST(h), MSG(DEAD, NUM(m), 0, 0, 0, 0, 0))
    fi
}

inline on_ask(h)
{
    if
    :: row_state != FREE && !ALIVE(row_host, row_num) -> end_host(row_host)
    :: else -> skip
    fi;
    if
    :: !ALIVE(h, NUM(m)) -> put(TO_HOST(h), MSG(DEAD, NUM(m), 0, 0, 0, 0, 0))
    :: ALIVE(h, NUM(m)) && row_state == FREE -> grant(h, NUM(m), SEQ(m))
    :: ALIVE(h, NUM(m)) && HOLDS(h, NUM(m)) ->
        put(TO_HOST(h), MSG(GRANTED, NUM(m), SEQ(m), 0, row_token, version, 0))
    :: else ->
        join_queue(h, NUM(m), SEQ(m));
        if
        :: row_state == HELD ->
            row_state = RECALLED;
            put(TO_HOST(row_host), MSG(RECALL, row_num, 0, 0, row_token, 0, 0))
        :: else -> skip
        fi
    fi
}

/* Only an ask that still waits can be withdrawn: one that was answered has been answered. */
inline on_withdraw(h)
{
    j = 0;
    do
    :: j < HOSTS && queue[j] != h + 1 -> j++
    :: else -> break
    od;
    if
    :: j < HOSTS && queue_num[j] == NUM(m) && queue_seq[j] == SEQ(m) -> leave_queue(h)
    :: else -> skip
    fi
}

inline on_release(h)
{
    if
    :: HOLDS(h, NUM(m)) && row_token == TOK(m) -> free_lease()
    :: else -> skip
    fi;
    put(TO_HOST(h), MSG(RELEASED, NUM(m), SEQ(m), 0, 0, 0, 0))
}

inline on_refuse(h)
{
    if
    :: HOLDS(h, NUM(m)) && row_token == TOK(m) ->
        row_state = HELD;
#ifdef LIVE
        do /* their patience is over */
        :: queue[0] != 0 ->
            who = queue[0] - 1;
            put(TO_HOST(who), MSG(BUSY, queue_num[0], queue_seq[0], 0, 0, 0, 0));
            leave_queue(who)
        :: else -> break
        od
#endif
    :: else -> skip
    fi
}

inline apply(h)
{
#ifndef LIVE
    assert(granted_token == TOK(m) && granted_host == h && granted_num == NUM(m));
    assert(TOK(m) >= history_token[version]);
#endif
    j = 0;
    do /* nothing is applied twice */
    :: j <= version -> assert(history_op[j] != OP(m)); j++
    :: else -> break
    od;
    version++;
    history_op[version] = OP(m);
    history_token[version] = TOK(m);
    put(TO_HOST(h), MSG(DONE, NUM(m), SEQ(m), RETRY(m), TOK(m), BASE(m), OP(m)))
}

#ifdef MUTANT_NO_TOKEN_CHECK
#define CURRENT(h) true
#else
#define CURRENT(h) (HOLDS(h, NUM(m)) && row_token == TOK(m))
#endif
#ifdef MUTANT_NO_BASE_CHECK
#define NEXT true
#else
#define NEXT (version == BASE(m))
#endif
#ifdef MUTANT_BLIND_RETRY
#define DONE_BEFORE RETRY(m)
#else
#ifdef MUTANT_FORGETFUL_RETRY
#define DONE_BEFORE false
#else
#define DONE_BEFORE                                                                                  \
    (RETRY(m) && version > BASE(m) && history_op[BASE(m) + 1] == OP(m) &&                            \
     history_token[BASE(m) + 1] == TOK(m))
#endif
#endif

inline on_commit(h)
{
    if
    :: CURRENT(h) && NEXT -> apply(h)
    :: !(CURRENT(h) && NEXT) && DONE_BEFORE ->
        put(TO_HOST(h), MSG(DONE, NUM(m), SEQ(m), RETRY(m), TOK(m), BASE(m), OP(m)))
    :: !CURRENT(h) && !DONE_BEFORE ->
        put(TO_HOST(h), MSG(FENCED, NUM(m), SEQ(m), RETRY(m), 0, 0, OP(m)))
    :: CURRENT(h) && !NEXT && !DONE_BEFORE ->
        put(TO_HOST(h), MSG(CONFLICT, NUM(m), SEQ(m), RETRY(m), 0, 0, OP(m)))
    fi
}

inline store_handle(h)
{
    if
    :: KIND(m) == REGISTER -> on_register(h)
    :: KIND(m) == BEAT -> on_beat(h)
    :: KIND(m) == ASK -> on_ask(h)
    :: KIND(m) == WITHDRAW -> on_withdraw(h)
    :: KIND(m) == RELEASE -> on_release(h)
    :: KIND(m) == REFUSE -> on_refuse(h)
    :: KIND(m) == COMMIT -> on_commit(h)
    fi
}

/* --- a host --------------------------------------------------------------------------------------- */

#define IDLE 0
#define ASKING 1
#define HOLDING 2
#define COMMITTING 3
#define RELEASING 4

byte state[HOSTS];
byte num[HOSTS];      /* the host session that it has, or asks for */
bit registered[HOSTS];
byte seq[HOSTS];      /* of the request that it waits for */
bit retried[HOSTS];
byte token[HOSTS], base[HOSTS], op[HOSTS];
bit recalled[HOSTS];  /* recalled while committing */
byte left[HOSTS];     /* ticks until it admits no change */
bit lagged[HOSTS];    /* its clock has lost a tick, as much as the margin allows */
bit gone[HOSTS];      /* LIVE: it will never do anything again */
bit beating[HOSTS];   /* LIVE: a heartbeat is under way */
byte commits_made, asks_made, lives_used;

#define BELIEVES(h) ((state[h] == HOLDING || state[h] == COMMITTING) && left[h] > 0)
#define EXCUSED(h) (token[h] == broken_token || token[h] == detached_token)

/* LIVE goes on for ever, so its counters go round; in a queue no two of a kind can be mistaken. */
#ifdef LIVE
#define ROUND 2
#define CHECK(h) skip
#else
#define ROUND 15
/* Who believes that it holds the lease within its deadline does hold it; so two never believe it. */
#define CHECK(h) assert(!BELIEVES(h) || EXCUSED(h) || (HOLDS(h, num[h]) && row_token == token[h]))
#endif

inline forget(h)
{
    state[h] = IDLE;
    token[h] = 0;
    base[h] = 0;
    op[h] = 0;
    recalled[h] = 0;
    retried[h] = 0
}

/* It is dead, and comes back under another number, or (0) never. */
inline new_life(h)
{
    forget(h);
#ifdef LIVE
    num[h] = num[h] % 2 + 1;
#else
    if
    :: lives_used < LIVES -> lives_used++; num[h]++
    :: else -> num[h] = 0
    fi;
#endif
    registered[h] = 0;
    beating[h] = 0;
    left[h] = 0;
    lagged[h] = 0
}

inline host_renew(h)
{
#ifdef MUTANT_COUNT_FROM_ANSWER
    j = TTL - MARGIN;
#else
    j = (AGE(m) < TTL - MARGIN -> TTL - MARGIN - AGE(m) : 0);
#endif
    if
    :: j > left[h] -> left[h] = j; lagged[h] = 0
    :: else -> skip
    fi;
    beating[h] = 0
}

inline send_request(h, retry)
{
    if
    :: state[h] == ASKING -> put(TO_STORE(h), MSG(ASK, num[h], seq[h], retry, 0, 0, 0))
    :: state[h] == COMMITTING ->
        put(TO_STORE(h), MSG(COMMIT, num[h], seq[h], retry, token[h], base[h], op[h]))
    :: state[h] == RELEASING ->
        put(TO_STORE(h), MSG(RELEASE, num[h], seq[h], retry, token[h], 0, 0))
    :: else -> skip
    fi
}

inline begin(h, what)
{
    state[h] = what;
    seq[h] = seq[h] % ROUND + 1;
    retried[h] = 0;
    send_request(h, 0)
}

inline on_granted(h)
{
    if
    :: state[h] == ASKING && SEQ(m) == seq[h] ->
        state[h] = HOLDING;
        token[h] = TOK(m);
        base[h] = BASE(m)
    :: else -> skip /* an ask that it gave up; a recall will tell */
    fi
}

inline on_done(h)
{
    if
    :: state[h] == COMMITTING && SEQ(m) == seq[h] && RETRY(m) == retried[h] ->
        assert(version > base[h] && history_op[base[h] + 1] == op[h]);
        acknowledged[op[h]] = 1;
        state[h] = HOLDING;
        base[h]++;
        op[h] = 0
    :: else -> skip
    fi
}

inline on_fenced(h)
{
    if
    :: state[h] == COMMITTING && SEQ(m) == seq[h] && RETRY(m) == retried[h] ->
        assert(KIND(m) == FENCED); /* a holder never meets a conflict */
        j = 0;
        do /* the work is kept as a rescue version: it must not be in the history as well */
        :: j <= version -> assert(history_op[j] != op[h]); j++
        :: else -> break
        od;
        forget(h)
    :: else -> skip
    fi
}

/* What the host would ignore, now and ever after, is as good as lost: fewer states. */
#define IS_ANSWER(kind, to)                                                                          \
    ((to) == ASKING && ((kind) == GRANTED || (kind) == BUSY) ||                                      \
     (to) == RELEASING && (kind) == RELEASED ||                                                      \
     (to) == COMMITTING && ((kind) == DONE || (kind) == FENCED || (kind) == CONFLICT))
#define MATTERS(h, msg)                                                                              \
    (NUM(msg) == num[h] &&                                                                           \
     (KIND(msg) == REGISTERED || KIND(msg) == DEAD || KIND(msg) == RECALL ||                         \
      KIND(msg) == RENEWED && AGE(msg) < TTL - MARGIN ||                                             \
      IS_ANSWER(KIND(msg), state[h]) && SEQ(msg) == seq[h] &&                                        \
          (state[h] != COMMITTING || RETRY(msg) == retried[h])))

inline purge(h)
{
#ifndef LIVE
    j = 0;
    do
    :: j < SLOTS && net[TO_HOST(h) + j] != 0 && !MATTERS(h, net[TO_HOST(h) + j]) ->
        take_out(TO_HOST(h), j)
    :: j < SLOTS && net[TO_HOST(h) + j] != 0 && MATTERS(h, net[TO_HOST(h) + j]) -> j++
    :: else -> break
    od;
#endif
    skip
}

/* `yes`: it can be given back now. */
inline on_recall(h)
{
    if
    :: TOK(m) == token[h] && state[h] == HOLDING && yes -> begin(h, RELEASING)
    :: TOK(m) == token[h] && (state[h] == HOLDING || state[h] == COMMITTING) && !yes ->
        put(TO_STORE(h), MSG(REFUSE, num[h], 0, 0, token[h], 0, 0))
    :: TOK(m) == token[h] && state[h] == COMMITTING && yes -> recalled[h] = 1
    :: state[h] == IDLE -> /* granted on an ask that it gave up */
        token[h] = TOK(m);
        begin(h, RELEASING)
    :: else -> skip
    fi
}

inline host_handle(h)
{
    if
    :: KIND(m) == REGISTERED -> registered[h] = 1; host_renew(h)
    :: KIND(m) == RENEWED -> host_renew(h)
    :: KIND(m) == DEAD -> new_life(h)
    :: KIND(m) == GRANTED -> on_granted(h)
    :: KIND(m) == BUSY ->
        if
        :: state[h] == ASKING && SEQ(m) == seq[h] -> state[h] = IDLE
        :: else -> skip
        fi
    :: KIND(m) == RELEASED ->
        if
        :: state[h] == RELEASING && SEQ(m) == seq[h] -> forget(h)
        :: else -> skip
        fi
    :: KIND(m) == DONE -> on_done(h)
    :: KIND(m) == FENCED || KIND(m) == CONFLICT -> on_fenced(h)
    :: KIND(m) == RECALL -> on_recall(h)
    fi
}

/* After every step. */
inline check_all()
{
#ifndef LIVE
    i = 0;
    do
    :: i < HOSTS -> CHECK(i); purge(i); i++
    :: else -> break
    od;
#endif
    skip
}

/* --- time --------------------------------------------------------------------------------------------- */

inline grow_old()
{
    j = 0;
    do
    :: j < 2 * HOSTS * SLOTS ->
        if
        :: net[j] != 0 && (KIND(net[j]) == 1 || KIND(net[j]) == 2) && AGE(net[j]) < TTL - MARGIN -> net[j]++
        :: else -> skip
        fi;
        j++
    :: else -> break
    od;
    skip
}

inline tick(h)
{
    if
    :: left[h] > 0 -> left[h]--; lagged[h] = (left[h] > 0 && lagged[h])
    :: else -> skip
    fi;
    if
    :: store_left[h] > 0 -> store_left[h]--
    :: else -> skip
    fi
}

proctype Clock()
{
    do
    :: d_step {
        i = 0;
        do
        :: i < HOSTS -> tick(i); i++
        :: else -> break
        od;
        grow_old();
        check_all()
    }
    od
}

/* --- the processes ------------------------------------------------------------------------------------ */

/* The store, as far as it deals with one host. */
proctype Store(byte h)
{
    do
    :: atomic {
        net[TO_STORE(h)] != 0 -> receive(TO_STORE(h));
        d_step { store_handle(h); m = 0; at = 0; check_all() }
    }
#ifndef LIVE
    :: d_step { net[TO_STORE(h)] != 0 -> take_out(TO_STORE(h), 0) } /* lost */
    :: d_step { SLOTS > 1 && net[TO_STORE(h) + 1] != 0 -> take_out(TO_STORE(h), 1) }
#endif
    :: d_step { /* its time is over */
        known_num[h] != 0 && !known_dead[h] && store_left[h] == 0 -> end_host(h);
        check_all()
    }
    od
}

#ifdef LIVE
#define WANTS(h) (state[h] == IDLE && registered[h] && !gone[h])
#else
#define WANTS(h) (state[h] == IDLE && registered[h] && left[h] > 0 && asks_made < ASKS)
#endif

proctype User(byte h)
{
    do
    :: d_step { WANTS(h) ->
#ifndef LIVE
        asks_made++;
#endif
        begin(h, ASKING);
        check_all()
    }
    :: d_step { BELIEVES(h) && state[h] == HOLDING && commits_made < COMMITS ->
        commits_made++;
        op[h] = commits_made;
        begin(h, COMMITTING);
        check_all()
    }
    :: d_step { state[h] == HOLDING && recalled[h] -> recalled[h] = 0; begin(h, RELEASING) }
#ifndef LIVE
    :: d_step { state[h] == HOLDING -> begin(h, RELEASING); check_all() }
    :: d_step { state[h] == ASKING -> /* it waits no longer */
        put(TO_STORE(h), MSG(WITHDRAW, num[h], seq[h], 0, 0, 0, 0));
        state[h] = IDLE;
        check_all()
    }
    :: d_step { /* sent again, on another connection */
        state[h] != IDLE && state[h] != HOLDING -> retried[h] = 1; send_request(h, 1); check_all()
    }
#endif
    od
}

byte refusals = REFUSALS;

proctype Host(byte h)
{
    do
    :: atomic {
        net[TO_HOST(h)] != 0 && !gone[h] -> receive(TO_HOST(h));
        if
#ifdef LIVE
        :: KIND(m) == RECALL && refusals > 0 -> yes = 0; refusals--
#else
        :: KIND(m) == RECALL -> yes = 0
#endif
        :: yes = 1
        fi;
        d_step {
            if
            :: NUM(m) == num[h] -> host_handle(h)
            :: else -> skip
            fi;
            m = 0;
            at = 0;
            yes = 0;
            check_all()
        }
    }
#ifndef LIVE
    :: d_step { net[TO_HOST(h)] != 0 -> take_out(TO_HOST(h), 0) } /* lost */
    :: d_step { SLOTS > 1 && net[TO_HOST(h) + 1] != 0 -> take_out(TO_HOST(h), 1) }
    :: d_step { num[h] != 0 && lives_used < LIVES -> new_life(h); check_all() } /* killed and started again */
    :: d_step { LAGS > 0 && left[h] > 0 && !lagged[h] -> lagged[h] = 1; left[h]++; check_all() } /* a slow clock */
#endif
    od
}

proctype Heart(byte h)
{
    do
#ifdef LIVE
    :: d_step { !registered[h] && !beating[h] && !gone[h] ->
        beating[h] = 1;
        put(TO_STORE(h), MSG(REGISTER, num[h], 0, 0, 0, 0, 0))
    }
    :: d_step { registered[h] && !beating[h] && !gone[h] ->
        beating[h] = 1;
        put(TO_STORE(h), MSG(BEAT, num[h], 0, 0, 0, 0, 0))
    }
#else
    :: d_step { num[h] != 0 && !registered[h] ->
        put(TO_STORE(h), MSG(REGISTER, num[h], 0, 0, 0, 0, 0))
    }
    :: d_step { num[h] != 0 && registered[h] ->
        put(TO_STORE(h), MSG(BEAT, num[h], 0, 0, 0, 0, 0))
    }
#endif
    od
}

byte restarts = RESTARTS, breaks = BREAKS, detaches = DETACHES, cuts = CUTS;

inline cut(way)
{
    j = 0;
    do
    :: j < SLOTS -> net[way + j] = 0; j++
    :: else -> break
    od;
    skip
}

/* LIVE: a broken connection. The host comes back on another and sends again what was not answered. */
inline reconnect(h)
{
    cut(TO_STORE(h));
    cut(TO_HOST(h));
    if
    :: !gone[h] ->
        beating[h] = 1;
        put(TO_STORE(h), MSG(REGISTER, num[h], 0, 0, 0, 0, 0));
        retried[h] = 1;
        send_request(h, 1)
    :: else -> skip
    fi
}

/* The store is killed and started again: what was in memory is gone. */
inline restart_store()
{
    i = 0;
    do
    :: i < HOSTS ->
        if
        :: known_num[i] != 0 && !known_dead[i] ->
#ifdef MUTANT_NO_GRACE
            store_left[i] = 0
#else
            store_left[i] = TTL
#endif
        :: else -> skip
        fi;
#ifdef LIVE
        reconnect(i);
#endif
        i++
    :: else -> break
    od;
#ifdef MUTANT_LOSE_COMMIT
    version = (version > 0 -> version - 1 : 0);
#endif
    i = 1;
    do /* what was acknowledged is there */
    :: i <= COMMITS ->
        if
        :: acknowledged[i] ->
            yes = 0;
            j = 1;
            do
            :: j <= version -> yes = yes || history_op[j] == i; j++
            :: else -> break
            od;
            assert(yes)
        :: else -> skip
        fi;
        i++
    :: else -> break
    od;
    yes = 0
}

proctype Faults()
{
    do
    :: d_step { restarts > 0 -> restarts--; restart_store() }
    :: d_step { breaks > 0 && row_state != FREE ->
        breaks--;
        broken_token = row_token;
        free_lease()
    }
    :: d_step { detaches > 0 && row_state != FREE ->
        detaches--;
        detached_token = row_token;
        end_host(row_host)
    }
#ifdef LIVE
    :: d_step { cuts > 0 -> cuts--; reconnect(0) }
    :: d_step { cuts > 0 -> cuts--; reconnect(1) }
    :: d_step { DEATHS > 0 && !gone[1] -> gone[1] = 1; forget(1); cut(TO_STORE(1)); cut(TO_HOST(1)) }
    :: break /* else it would have to happen */
#endif
    od
}

init
{
    atomic {
        i = 0;
        do
        :: i < HOSTS ->
            num[i] = 1;
            run Store(i);
            run Host(i);
            run Heart(i);
            run User(i);
            i++
        :: else -> break
        od;
        run Clock();
        run Faults()
    }
}

#ifdef LIVE
/* Who waits is granted the lease or refused in the end. */
ltl served { [](state[0] == ASKING -> <>(state[0] != ASKING)) }
#endif
