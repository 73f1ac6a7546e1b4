"""Deterministic simulation: real dispatchers and real scripts in virtual time, with processes that
die, stall and come back, and a server whose requests and replies get lost.

    python -m tests.simulation --rounds 1000 --seed 1

Every round is made from its seed alone.
"""
