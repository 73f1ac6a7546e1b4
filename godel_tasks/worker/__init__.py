"""What turns a Celery worker into a Godel process."""
