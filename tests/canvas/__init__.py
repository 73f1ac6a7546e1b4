"""Canvas and results, as Celery's users know them, over real processes."""
