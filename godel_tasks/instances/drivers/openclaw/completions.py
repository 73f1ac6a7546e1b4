"""Completions: a judged end as the contract of instances has it. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from godel_tasks.domain.attempt import Completion, Delivery, End, Fault, Usage
from godel_tasks.errors import GodelError
from godel_tasks.instances.drivers.openclaw.adoption import Found
from godel_tasks.instances.drivers.openclaw.ends import Judgement, Kind
from godel_tasks.instances.drivers.openclaw.frames import AgentAnswer
from godel_tasks.instances.drivers.openclaw.runs import Run

#: Where the types of its errors "are": it names no class that can be imported.
MODULE = "openclaw"

_encoder = msgspec.json.Encoder()


def completion_of_answer(
    run: Run, judgement: Judgement, answer: AgentAnswer, run_ms: float
) -> Completion:
    """From the gateway's last answer to the request."""
    result = answer.result
    if result is None:
        return completion_of_judgement(run, judgement, run_ms)
    meta = result.meta.agentMeta
    usage = None
    if (counted := meta.usage) is not None:
        usage = Usage(
            counted.input,
            counted.output,
            counted.cacheRead,
            counted.cacheWrite,
            counted.cost.total if counted.cost else 0.0,
            meta.model,
            meta.provider,
        )
    text = "\n\n".join(said.text for said in result.payloads if said.text)
    media = [said.mediaUrl for said in result.payloads if said.mediaUrl]
    return _completion(run, judgement, run_ms, usage, text, meta.model, media)


def completion_of_found(run: Run, found: Found, run_ms: float) -> Completion:
    """From what became of it elsewhere."""
    model = found.usage.model if found.usage else ""
    return _completion(run, found.judgement, run_ms, found.usage, found.text, model, [])


def completion_of_judgement(run: Run, judgement: Judgement, run_ms: float) -> Completion:
    """Where there is nothing but the judgement."""
    return _completion(run, judgement, run_ms, None, "", "", [])


def failed(delivery: Delivery, error: GodelError) -> Completion:
    """A payload that is no turn: another attempt does not help."""
    return Completion(
        delivery.task_id,
        delivery.attempt,
        delivery.instance_id,
        End.FAILED,
        error_type=type(error).__name__,
        error_module=type(error).__module__,
        error_message=str(error),
        retryable=False,
        fault=Fault.TASK,
    )


def _completion(
    run: Run,
    judgement: Judgement,
    run_ms: float,
    usage: Usage | None,
    text: str,
    model: str,
    media: list[str],
) -> Completion:
    delivery = run.delivery
    if judgement.kind is Kind.OK:
        result: dict[str, Any] = {"text": text, "session": run.session_key, "model": model}
        if media:
            result["media"] = media
        return Completion(
            delivery.task_id,
            delivery.attempt,
            delivery.instance_id,
            End.OK,
            _encoder.encode(result),
            run_ms=run_ms,
            usage=usage,
        )
    return Completion(
        delivery.task_id,
        delivery.attempt,
        delivery.instance_id,
        judgement.end,
        error_type=judgement.kind.error_type,
        error_module=MODULE,
        error_message=judgement.reason,
        run_ms=run_ms,
        retryable=judgement.retryable,
        usage=usage,
        fault=judgement.fault,
    )
