"""The one home of key names: Godel's data model in Redis.

Everything of a cell shares the hash tag `{c00}`, everything of an instance `{i:<id>}`, everything
of the registry `{registry}`: a script touches one tag only. Scripts declare their fixed keys in
KEYS and derive the rest (marked ~) from the same tag; each script's header lists both.

Cell, `godel:{cNN}:`...

| key | type | holds | TTL | written by | read by |
|---|---|---|---|---|---|
| index | hash | id → state, epoch, seq, owner, tenant, class, level, digest, flags | none: an entry ends when its task settles | submit, claim, settle, due, cancel, reap, resolve, mark_running, bury_class | the same, lookups |
| ~lane:<tenant>:<class>:<level> | list | packed records, FIFO | none: gone when empty | submit, settle, due, resolve, sweep | claim, bury_class |
| ~ready:<class> | zset | tenant → virtual time when it was last keyed | none: gone when empty | submit, settle, due, claim | claim |
| ~tenant:<tenant> | hash | weight, max_queue, pool, strategy, route (both of them, part of each class), on_uncertain; depth, inflight, vt, avg, counters; tokens_in, tokens_out, tokens_cached, cost_nanos (10^-9 dollars: sums stay exact) | none: lives as long as the tenant | put_tenant, submit, claim, settle | the same |
| tenants | set | names | none: as above | put_tenant | lookups |
| classes | hash | class → pool and requirement | none: dropped with its last live task | submit, finish | dispatchers |
| live | hash | class → unsettled tasks | as classes | submit, settle, finish | the same |
| waiting | hash | class → tasks in lanes, tombstones not counted | field gone at 0 | whoever moves a task in or out of a lane | dispatchers |
| seqs | hash | lane → last sequence | field gone when the lane is | submit, lane entry | position |
| tombs | hash | lane → tombstones in it | field gone at 0 | cancel, due, claim | sweep |
| parked | hash | id → record of delayed tasks, holds, and tasks behind the head of their session | entry ends with the state | submit, settle, due, whatever ends a session's head | due, cancel, resolve |
| evidence | hash | id → why a task is on hold | with the hold | settle | lookups |
| due | zset | d:/x:/h:<id> → when it is due (ms) | members go when due or settled | submit, settle | due, claim |
| ~held:<dispatcher> | hash | id → batch, epoch, instance#generation, slot, estimate, time, record | none: reaped with its dispatcher | claim, settle, reap | renew, reap |
| batches, settles | hash | dispatcher → last claim batch; last settle and its answer | with the dispatcher | claim, settle | the same |
| leases | zset | dispatcher → lease end (ms) | member goes when reaped or left | renew | reap, claim |
| gone | zset | reaped dispatcher → when | members of over a day are cut | condemn | renew, claim, reap, sleep, take_outbox |
| meta | hash | floor, tick, grace_until | none: three fields | claim, renew | the same |
| ~cancels:<dispatcher> | hash | id → who asked | with the dispatcher | cancel, reap | renew |
| ~outbox:<dispatcher>, outbox:- | hash | id → what is to be published | none: an entry goes once it is published | settle; finish | publisher |
| ~canvas | hash | id → what follows its end (links, chain, chord), of tasks that something follows | none: an entry goes with its outbox entry | submit | publisher |
| ~progress:<id> | string | JSON: text (its last 65,536 characters), attempt, instance_id, at_ms of a running attempt | 1 hour | dispatchers | results, CLI |
| decisions | stream | how ticks were planned: dispatcher, first and last claim, class with ranking and filters (about 10,000) | none: bounded | dispatchers | explain |
| ~settled:<n>, ~known:<n> | hash | id → letter and digest of settled tasks | 20 minutes; 48 hours | settle, finish | submit, cancel |
| dead, dead_at | hash, zset | dead letters: id → record; id → when | control cuts what is past the retention | settle, bury_class, drop_dead, cut_dead_letters | CLI |
| dead_classes | hash | class of a dead letter → pool and requirement | none: dropped with the last dead letter | settle, bury_class, drop_dead, cut_dead_letters | CLI |
| unroutable | hash | class → since when, nobody can run it | field gone when routable or empty | dispatchers | bury_class, CLI |
| ~session:<tenant>:<session> | hash | affinity, ttl_ms, created_ms, used_ms, labels; head (id in force); instance, generation, bound_ms, ran (attempts there); moves, moved_from, moved_ms, moved_why; ended, ended_by | none: goes when nothing has used it for ttl_ms, or with its last task once it is ended | submit, claim, settle, finish, open_session, end_session, move_sessions, idle_sessions | the same, lookups |
| ~behind:<tenant>:<session> | list | ids that wait behind the head, in order | none: gone when empty | submit, due, finish | the same |
| ~members:<tenant>:<session> | set | ids of its unsettled tasks | none: gone when empty | submit, settle, finish | end_session, idle_sessions, lookups |
| ~sessioned | hash | id → tenant:session of unsettled tasks that have one | none: an entry ends when its task settles | submit, settle, finish | whoever moves such a task |
| ~moved | hash | id → that its session was moved, and why, for the result | as sessioned | move_sessions | dispatchers, lookups |
| ~sessions | zset | tenant:session → when it is idle for too long (ms) | with the session | submit, settle, finish | idle_sessions, lookups |
| ~pinned | hash | instance → sessions bound to it | field gone at 0 | claim, settle, move_sessions, whatever drops a session | lookups |
| wake | list | tokens (what to look at), at most one a sleeper | 60 s | whoever adds work | dispatchers (BLPOP) |
| sleepers | set | dispatchers that wait for a token | member goes when it claims or dies | sleep | wake |

Instance, `godel:{i:<id>}:`...: info (hash: static and reported fields, generation, status, drain,
and where dispatchers register it: boot_id, strays_aborted, attendant, attendant_until; has
a day to live until it is attended, and control drops it an hour after the instance died), slots
(hash: one field per running task or reservation), orphans (hash: slot → attempt that may still run),
breaker (as below).

Breaker, `godel:{i:<id>}:breaker` of an instance, `godel:{b:<name>}:breaker` of anything else (hash:
state, window, reporters, permits; lua/lib/breaker.lua has its fields; goes a day after it was used
last, but what a person forced stays until it is lifted; written by the breaker_* scripts and, for
instances, by slots and register).

Registry, `godel:{registry}:`...: instances (zset: id → lease end), events (stream, about 10,000),
cells (hash: tenant → cell, when there are several), breakers (set: names of breakers that are no
instance's; whoever lists them takes out what is gone).

Scaling, `godel:{registry}:`...

| key | type | holds | TTL | written by | read by |
|---|---|---|---|---|---|
| scaling | hash | pool → its policy | none: lives as long as the policy | put_policies, drop_policy | autoscaler, CLI |
| scaling_state | hash | pool → what decisions remember; spawns and drains under way | none: dropped once there is no policy and nothing under way | record_scaling | autoscaler, CLI |
| scaling_leader | hash | owner, token, until_ms of who decides | none: three fields | lead_scaling | record_scaling |
| ~scaling_history:<pool> | stream | decisions with their inputs, and acts; about 5,000 | 30 days after the last one | record_scaling | CLI |

Lifecycle, `godel:{registry}:`...

| key | type | holds | TTL | written by | read by |
|---|---|---|---|---|---|
| pools | hash | pool → its declaration | none: lives as long as the pool | swap_field | manager, autoscaler, CLI |
| made | hash | id → what is to become of an instance that was made for a pool | none: written before it is made, dropped when it is removed | swap_field | manager, CLI |
| rollouts | hash | pool → its rolling restart | none: dropped when it is done, or with the pool | swap_field | rollout, CLI |
| tending | string | who looks after what was made | 30 s | hold | hold |

Health, of instances (`godel:{i:<id>}:`, the first two) and of the registry:

| key | type | holds | TTL | written by | read by |
|---|---|---|---|---|---|
| health | string | of an instance: what its last judge remembers, JSON (policy/health.py) | 1 hour | note_health | probe job |
| signals | hash | of an instance: generation, and how many of its attempts ended how, as dispatchers saw it | 1 hour | count_ends | probe job |
| labels | hash | registry: id → the labels that the index has it under | none: goes with the instance | enlist, relabel, depart | find_labelled |
| ~having:<label> | set | registry: ids of instances that have a label (policy/labels.py) | none: gone when empty | enlist, relabel, depart | find_labelled |
| generations | hash | registry: id → generation that is listed | none: goes with the instance | enlist, relabel, depart | lose, attend |
| lost | hash | registry: id → generation that was told to be lost | none: goes with the instance, or when it is heard of | lose, attend | the same |
| probes | zset | registry: id → when its next probe is due, or until when it is taken (ms) | none: goes with the instance | enlist, claim_probes, probed, depart | claim_probes |

Results are Celery's own keys, `celery-task-meta-<id>`, with the TTL `GODEL_RESULT_EXPIRES_S`.
"""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.domain.breaker import INSTANCE_BREAKER

_PREFIX = "godel:"

#: Outbox of what no dispatcher settled (cancelled while waiting, expired, buried).
SHARED_OUTBOX = "-"


@dataclass(frozen=True, slots=True)
class CellKeys:
    """Key names of one cell."""

    prefix: str

    @classmethod
    def of(cls, cell: int) -> CellKeys:
        return cls(f"{_PREFIX}{{c{cell:02d}}}:")

    def fixed(self, name: str) -> str:
        """A key that the cell has once: index, due, wake, ..."""
        return self.prefix + name

    def tenant(self, tenant_id: str) -> str:
        return f"{self.prefix}tenant:{tenant_id}"

    def held(self, dispatcher: str) -> str:
        return f"{self.prefix}held:{dispatcher}"

    def outbox(self, dispatcher: str) -> str:
        return f"{self.prefix}outbox:{dispatcher}"

    def cancels(self, dispatcher: str) -> str:
        return f"{self.prefix}cancels:{dispatcher}"

    def progress(self, task_id: str) -> str:
        return f"{self.prefix}progress:{task_id}"

    def session(self, name: str) -> str:
        """`name`: "tenant:session"."""
        return f"{self.prefix}session:{name}"

    def behind(self, name: str) -> str:
        return f"{self.prefix}behind:{name}"

    def members(self, name: str) -> str:
        return f"{self.prefix}members:{name}"

    def lane(self, tenant_id: str, class_id: str, level: int) -> str:
        return f"{self.prefix}lane:{tenant_id}:{class_id}:{level}"

    def ready(self, class_id: str) -> str:
        return f"{self.prefix}ready:{class_id}"


@dataclass(frozen=True, slots=True)
class InstanceKeys:
    """Key names of one instance."""

    prefix: str

    @classmethod
    def of(cls, instance_id: str) -> InstanceKeys:
        return cls(f"{_PREFIX}{{i:{instance_id}}}:")

    @property
    def info(self) -> str:
        return self.prefix + "info"

    @property
    def slots(self) -> str:
        return self.prefix + "slots"

    @property
    def orphans(self) -> str:
        return self.prefix + "orphans"

    @property
    def breaker(self) -> str:
        return self.prefix + "breaker"

    @property
    def health(self) -> str:
        return self.prefix + "health"

    @property
    def signals(self) -> str:
        return self.prefix + "signals"


REGISTRY_INSTANCES = _PREFIX + "{registry}:instances"
REGISTRY_EVENTS = _PREFIX + "{registry}:events"
REGISTRY_LABELS = _PREFIX + "{registry}:labels"
REGISTRY_GENERATIONS = _PREFIX + "{registry}:generations"
REGISTRY_LOST = _PREFIX + "{registry}:lost"
REGISTRY_PROBES = _PREFIX + "{registry}:probes"
#: About so many events are kept on the registry's stream.
EVENTS_KEPT = 10_000
REGISTRY_CELLS = _PREFIX + "{registry}:cells"
REGISTRY_POOLS = _PREFIX + "{registry}:pools"
REGISTRY_MADE = _PREFIX + "{registry}:made"
REGISTRY_ROLLOUTS = _PREFIX + "{registry}:rollouts"
REGISTRY_TENDING = _PREFIX + "{registry}:tending"
REGISTRY_BREAKERS = _PREFIX + "{registry}:breakers"
REGISTRY_SCALING = _PREFIX + "{registry}:scaling"
REGISTRY_SCALING_STATE = _PREFIX + "{registry}:scaling_state"
REGISTRY_SCALING_LEADER = _PREFIX + "{registry}:scaling_leader"


def breaker_key(name: str) -> str:
    """The key of a breaker; an instance's lies with the instance, so that reserve can look at it."""
    if name.startswith(INSTANCE_BREAKER):
        return InstanceKeys.of(name.removeprefix(INSTANCE_BREAKER)).breaker
    return f"{_PREFIX}{{b:{name}}}:breaker"


def scaling_history(pool: str) -> str:
    """Decisions about a pool's size, and what was done."""
    return f"{_PREFIX}{{registry}}:scaling_history:{pool}"


def result_key(task_id: str) -> str:
    """Where Celery's Redis result backend keeps a result."""
    return f"celery-task-meta-{task_id}"
