"""What runs in the environment of each peer: a no-op, a client, the worker's configuration.

These modules import the peer, the standard library and `client`, and nothing of Godel.
"""
