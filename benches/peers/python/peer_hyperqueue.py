"""HyperQueue: a real process (/bin/true) per task, one worker with 2 slots. Nothing of it is durable."""

import os
import time
from importlib.metadata import version

os.environ["TQDM_DISABLE"] = "1"

from hyperqueue import Job, LocalCluster  # noqa: E402 the variable is read at import
from hyperqueue.cluster import WorkerConfig  # noqa: E402

import contract  # noqa: E402

SLOTS = 2


def run(given, client, count):
    """Submits one job and waits for its end; returns the seconds that both took."""
    last = given.data / f"last-{count}"
    job = Job()
    for _ in range(count):
        # Two files per task would be made without these.
        job.program(["/bin/true"], stdout=None, stderr=None)
    # Its own waiting looks once a second, too seldom to be timed: the task that comes last leaves a file.
    job.program(["/bin/touch", str(last)], stdout=None, stderr=None, priority=-1)
    began = time.monotonic()
    submitted = client.submit(job)
    contract.until(given, "the last task", last.exists)
    seconds = time.monotonic() - began
    # Raises when a task failed.
    client.wait_for_jobs([submitted])
    return seconds


def main():
    with contract.peer(__doc__) as given:
        # Its server listens on all addresses, and its Python package has no way to say otherwise.
        contract.leave_network()
        os.chdir(given.data)
        with LocalCluster(server_dir=str(given.data), worker_config=WorkerConfig(cores=SLOTS)) as cluster:
            client = cluster.client()
            run(given, client, max(1, given.tasks // 10))
            seconds = run(given, client, given.tasks)
        contract.report(given, "hyperqueue", version("hyperqueue"), seconds, slots=SLOTS)


main()
