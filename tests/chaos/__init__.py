"""Chaos: real processes under load are killed and stopped at random, and nothing may be lost.

python -m tests.chaos --rounds 100 --seed 1
"""
