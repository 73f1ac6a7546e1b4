"""Circuit breakers for any code; those of instances and providers stand in `dispatch`."""

from __future__ import annotations

from godel_tasks.breakers.breaker import CircuitBreaker, CircuitBreakerDelegate

__all__ = ["CircuitBreaker", "CircuitBreakerDelegate"]
