"""The bugs: what each one is, how it is planted, and which tests are asked, the quickest first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patch:
    """`old` stands in `file` exactly once, and becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Hunt:
    """A way to look for a bug: arguments of Python."""

    name: str
    arguments: tuple[str, ...]


def story(path: str) -> Hunt:
    return Hunt(f"story {path}", ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", path))


MODEL = Hunt(
    "model test",
    ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/store/test_queue_model.py"),
)
SIMULATION = Hunt(
    "simulation", ("-m", "tests.simulation", "--rounds", "80", "--seed", "1", "--stop-at-first")
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug."""

    name: str
    patch: Patch
    hunts: tuple[Hunt, ...]


_LUA = "godel_tasks/store/lua/"

MUTANTS = (
    Mutant(
        "no epoch check at settle",
        Patch(
            _LUA + "settle.lua",
            "if seen[id] or owner ~= dispatcher or epoch_now ~= epoch then",
            "if seen[id] or owner ~= dispatcher then",
        ),
        (MODEL,),
    ),
    Mutant(
        "lost claim reply not repaired",
        Patch(
            _LUA + "claim.lua",
            "if tonumber(redis.call('HGET', batches, dispatcher) or '0') >= tonumber(batch) then",
            "if false then",
        ),
        (MODEL,),
    ),
    Mutant(
        "slot freed on reap",
        Patch(
            "godel_tasks/dispatch/reaper.py",
            "slots.setdefault(held.instance_id, {})[held.slot] = key",
            "slots.setdefault(held.instance_id, {})",
        ),
        (story("tests/dispatch/test_reaper.py"), SIMULATION),
    ),
    Mutant(
        "wake-up lost",
        Patch(
            _LUA + "lib/wake.lua",
            "redis.call('LPUSH', wake, class and class .. ' ' .. count or '-')",
            "redis.call('LLEN', wake)",
        ),
        (story("tests/store/test_leases.py"),),
    ),
    Mutant(
        "reap without grace after a stall",
        Patch(
            _LUA + "condemn.lua",
            "if now_ms < tonumber(redis.call('HGET', meta, 'grace_until') or '0') then",
            "if false then",
        ),
        (MODEL,),
    ),
    Mutant(
        "outbox deleted before publishing",
        Patch(
            "godel_tasks/dispatch/publisher.py",
            "        while results:\n            try:\n",
            "        await insist(\n"
            "            self._ports,\n"
            "            lambda: cell.leases.acknowledge_outbox(\n"
            "                dispatcher=self._dispatcher, task_ids=task_ids\n"
            "            ),\n"
            "        )\n"
            "        while results:\n            try:\n",
        ),
        (SIMULATION,),
    ),
    Mutant(
        "hand-back at the tail",
        Patch(_LUA + "lib/lane.lua", "redis.call('LPUSH', lane_key(field), record)",
              "redis.call('RPUSH', lane_key(field), record)"),
        (MODEL,),
    ),
    Mutant(
        "tombstone ignored",
        Patch(
            _LUA + "lib/peek_lane.lua",
            "if not epoch or seq ~= seqs_of[i] then",
            "epoch, seq, rest = epoch or '0', seq or '0', rest or 'a shared.0 2 -'\n"
            "    if false then",
        ),
        (MODEL,),
    ),
    Mutant(
        "duplicate id admitted after settling",
        Patch(
            _LUA + "submit.lua",
            "local past = check_settled == '1' and recall(now_ms, ids) or {}",
            "local past = {}",
        ),
        (MODEL,),
    ),
    Mutant(
        "virtual time not re-keyed",
        Patch(_LUA + "settle.lua", "if t.charge < 0 then", "if false then"),
        (MODEL, story("tests/store/test_claim.py")),
    ),
    Mutant(
        "turn that may have run started again",
        Patch("godel_tasks/instances/drivers/openclaw/keeper.py",
              "if delivery.may_have_run:", "if False:"),
        (story("tests/openclaw/test_connection.py"),),
    ),
    Mutant(
        "resumed run left to go on",
        Patch("godel_tasks/instances/drivers/openclaw/strays.py",
              'return bool(session.get("hasActiveRun")) or session.get("status") == "running"',
              "return False"),
        (story("tests/dispatch/test_attendant.py"),),
    ),
    Mutant(
        "session's next task not held back",
        Patch(_LUA + "lib/session.lua",
              "if s[1] ~= id then return end", "if false then return end"),
        (story("tests/store/test_sessions.py"), MODEL),
    ),
    Mutant(
        "session's retry in any instance's lane",
        Patch(_LUA + "lib/lane.lua", "  if of_session(r.class) and renew_class(r) then",
              "  if false then"),
        (story("tests/store/test_sessions.py"), MODEL),
    ),
    Mutant(
        "moved session bound to the instance that it left",
        Patch(_LUA + "move_sessions.lua", "  unbind(name)\n", ""),
        (story("tests/store/test_sessions.py"), MODEL),
    ),
)  # fmt: skip
