"""Dask distributed: tasks that do nothing, 2 worker processes with a thread each. Nothing of it is durable."""

import time
from importlib.metadata import version

import dask
from distributed import Client, LocalCluster, wait

import contract

WORKERS = 2


def noop(_number):
    """Does nothing."""


def run(client, count):
    """Submits and waits for the end of all; returns the seconds that both took."""
    began = time.monotonic()
    futures = client.map(noop, range(count), pure=False)
    wait(futures)
    seconds = time.monotonic() - began
    if any(future.status != "finished" for future in futures):
        raise SystemExit("tasks have failed")
    return seconds


def main():
    with contract.peer(__doc__) as given:
        dask.config.set({"temporary-directory": str(given.data)})
        options = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": True}
        with (
            LocalCluster(host="127.0.0.1", dashboard_address=None, **options) as cluster,
            Client(cluster) as client,
        ):
            run(client, max(1, given.tasks // 10))
            seconds = run(client, given.tasks)
        contract.report(given, "dask", version("distributed"), seconds, workers=WORKERS)


if __name__ == "__main__":
    # Its workers import this file.
    main()
