"""The instance's side: what stands behind an endpoint and runs handlers.

A transport (gRPC here, a simulated wire in tests) hands batches to a `Station`; the `Station` hands
each attempt to the `InstanceHost` it names; the host asks its `AttemptTable` what to do and an
executor to do it.
"""
