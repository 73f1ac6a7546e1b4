"""Instances of `godel instance` that a provider makes as processes of this machine."""
