"""Godel beside other task queues: the same no-op, drained by each. See `__main__.py`."""
