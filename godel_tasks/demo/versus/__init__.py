"""Celery and Godel side by side: one handler, the same slots, the same kills, one picture."""
