"""Celery with Redis: tasks that do nothing, 2 worker processes. Redis writes nothing to disk, which is in Celery's favour."""

import os
import pathlib
import sys
import time
from importlib.metadata import version

import redis

import contract

WORKERS = 2


def start_redis(given):
    """Returns a client of it."""
    port = contract.free_port()
    address = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(given.data)]
    contract.start(given, "redis", ["redis-server", *address, "--save", "", "--appendonly", "no"])
    server = redis.Redis(port=port)
    contract.until(given, "Redis", lambda: answers(server))
    os.environ["PEER_REDIS"] = f"redis://127.0.0.1:{port}/0"
    return server


def answers(server):
    try:
        return server.ping()
    except redis.exceptions.ConnectionError:
        return False


def start_workers(given, app):
    """One process each, which takes and runs: faster for short tasks than a parent that hands them to children."""
    here = pathlib.Path(__file__).parent
    worker = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "--pool", "solo", "--loglevel", "WARNING"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    for number in range(WORKERS):
        contract.start(given, f"worker-{number}", [*worker, *quiet, "-n", f"peer{number}@localhost"], cwd=here)
    contract.until(given, "the workers", lambda: len(app.control.ping(timeout=0.5)) == WORKERS)


def run(given, server, noop, count):
    """Submits and waits until Redis has the result of each; returns the seconds that both took."""
    server.flushdb()
    began = time.monotonic()
    with noop.app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            noop.apply_async(producer=producer)
    contract.until(given, "the end of all tasks", lambda: has_all(server, count))
    return time.monotonic() - began


def has_all(server, count):
    # A few keys are the queue's own; results are only counted one by one when there can be enough.
    return server.dbsize() >= count and sum(1 for _ in server.scan_iter("celery-task-meta-*", count=10_000)) >= count


def main():
    with contract.peer(__doc__) as given:
        server = start_redis(given)
        from celery_tasks import app, noop  # reads where Redis is

        start_workers(given, app)
        run(given, server, noop, max(1, given.tasks // 10))
        seconds = run(given, server, noop, given.tasks)
        versions = {"redis": server.info()["redis_version"]}
        contract.report(given, "celery", version("celery"), seconds, workers=WORKERS, **versions)


main()
