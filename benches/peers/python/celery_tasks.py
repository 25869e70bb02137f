"""The application that Celery's worker and its client share. Where Redis is stands in the environment."""

import os

from celery import Celery

URL = os.environ["PEER_REDIS"]
app = Celery("peer", broker=URL, backend=URL)
app.conf.update(
    # Short tasks: a worker takes many at once, as Celery's guide to tuning says.
    worker_prefetch_multiplier=128,
    broker_connection_retry_on_startup=True,
    task_send_sent_event=False,
    worker_send_task_events=False,
)


@app.task
def noop():
    """Does nothing; that it ended is written to Redis."""
