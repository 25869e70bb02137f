#!/usr/bin/env python3
"""Five minutes of a grid in which a worker, a server and the broker go away, as the dashboards show them.

Starts a broker, two servers, two workers and a Prometheus in a directory of its own, submits ten tasks a second, breaks
one thing after the other, and prints a Markdown table of what the dashboards' queries say every ten seconds. The story in
docs/runbook.md was made by it:

    grafana/story.py [--yardmaster PATH] [--prometheus PATH] > story.md
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
TASKS_PER_SECOND = 10
STEP_SECONDS = 10
LENGTH_SECONDS = 300

# A column of the table: its title, and the query of a panel or rule that it shows.
COLUMNS = [
    ("servers up", 'sum(up{job="yardmaster"})'),
    ("partitions served", 'sum(yardmaster_partitions{place="here"})'),
    ("ended/s", "sum(rate(yardmaster_tasks_ended_total[20s]))"),
    ("queued", 'sum(yardmaster_tasks{state="QUEUED"})'),
    ("running", 'sum(yardmaster_tasks{state=~"ASSIGNED|RUNNING"})'),
    ("workers", 'sum(yardmaster_workers{state="ACTIVE"})'),
    ("attempts lost", 'sum(yardmaster_attempts_closed_total{outcome="LOST"})'),
    ("brokers seen", 'min(yardmaster_kafka_brokers_up{client="inputs"})'),
    ("commit p99 s", "histogram_quantile(0.99, sum by (le) (rate(yardmaster_commit_seconds_bucket[20s])))"),
]


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Grid:
    """The processes, each in a group of its own, so that none outlives the story."""

    def __init__(self, yardmaster, prometheus, data):
        self.yardmaster, self.prometheus, self.data = yardmaster, prometheus, data
        self.kafka, self.web = free_port(), free_port()
        self.urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
        self.running = {}

    def start(self, name, *command):
        log = open(self.data / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def broker(self):
        self.start("broker", self.yardmaster, "kafka", "--data", self.data / "kafka", "--port", str(self.kafka))
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.kafka), 1).close()
                return
            except OSError:
                time.sleep(0.2)

    def server(self, number):
        name, url = f"server-{number + 1}", self.urls[number]
        self.start(name, self.yardmaster, "server", "--kafka", f"127.0.0.1:{self.kafka}", "--state-dir", self.data / name,
                   "--http", url.removeprefix("http://"), "--set", f"instance.id={name}",
                   "--set", f"http.advertise={url}")

    def worker(self, name):
        self.start(name, self.yardmaster, "worker", "--kafka", f"127.0.0.1:{self.kafka}", "--name", name, "--slots", "4")

    def watch(self):
        config = (HERE / "prometheus.yml").read_text()
        config = config.replace('["127.0.0.1:9733"]', json.dumps([url.removeprefix("http://") for url in self.urls]))
        config = config.replace("rules/", f"{HERE}/rules/").replace("_interval: 10s", "_interval: 2s")
        path = self.data / "prometheus.yml"
        path.write_text(config)
        self.start("prometheus", self.prometheus, f"--config.file={path}", f"--storage.tsdb.path={self.data}/series",
                   f"--web.listen-address=127.0.0.1:{self.web}")

    def kill(self, name, how):
        process = self.running.pop(name)
        os.killpg(process.pid, how)
        process.wait()

    def end(self):
        for name in list(self.running):
            self.kill(name, signal.SIGKILL if name != "broker" else signal.SIGTERM)

    def query(self, query):
        url = f"http://127.0.0.1:{self.web}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]


class Submitter(threading.Thread):
    """Submits to whichever server takes it; what was not taken is sent again, under the same ids."""

    def __init__(self, urls):
        super().__init__(daemon=True)
        self.urls, self.accepted, self.is_over = urls, 0, False

    def run(self):
        while not self.is_over:
            began = time.monotonic()
            task = {"id": f"story-{self.accepted}", "job": "story", "command": ["sleep", "0.5"]}
            while not any(self.taken(url, task) for url in self.urls):
                time.sleep(0.2)
            self.accepted += 1
            time.sleep(max(0, began + 1 / TASKS_PER_SECOND - time.monotonic()))

    @staticmethod
    def taken(url, task):
        request = urllib.request.Request(f"{url}/v1/tasks", json.dumps(task).encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


def events(grid):
    """What happens, by the second."""
    return {
        50: ("worker `beta` is killed with -9", lambda: grid.kill("beta", signal.SIGKILL)),
        90: ("`beta` is started again", lambda: grid.worker("beta")),
        120: ("`server-1` is killed with -9", lambda: grid.kill("server-1", signal.SIGKILL)),
        160: ("`server-1` is started again", lambda: grid.server(0)),
        200: ("the broker is stopped", lambda: grid.kill("broker", signal.SIGTERM)),
        220: ("the broker is started again", grid.broker),
    }


def row(grid, seconds, happened):
    def shown(query):
        result = grid.query(query)
        value = float(result[0]["value"][1]) if result else None
        return "-" if value is None or value != value else f"{value:.3g}" if value < 10 else f"{value:.0f}"

    firing = sorted({alert["metric"]["alertname"].removeprefix("Yardmaster") + ("" if alert["metric"]["alertstate"] == "firing" else " (pending)")
                     for alert in grid.query("ALERTS")})
    cells = [f"{seconds // 60}:{seconds % 60:02}", *(shown(query) for _, query in COLUMNS), ", ".join(firing), happened]
    print("| " + " | ".join(cells) + " |", flush=True)


def tell(grid):
    grid.broker()
    for number in range(2):
        grid.server(number)
    for name in ["alpha", "beta"]:
        grid.worker(name)
    grid.watch()
    submitter = Submitter(grid.urls)
    submitter.start()
    time.sleep(15)
    print("| time | " + " | ".join(title for title, _ in COLUMNS) + " | alerts | what happened |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    began, left, happened = time.monotonic(), events(grid), []
    for second in range(0, LENGTH_SECONDS + 1):
        time.sleep(max(0, began + second - time.monotonic()))
        if second in left:
            words, act = left[second]
            say(f"{second} s: {words}")
            act()
            happened.append(words)
        if second % STEP_SECONDS == STEP_SECONDS - 1:
            row(grid, second + 1, "; ".join(happened))
            happened = []
    submitter.is_over = True
    submitter.join()
    stats = drained(grid, submitter.accepted)
    print(f"\nAfterwards: {submitter.accepted} tasks were accepted; job `story` counts {json.dumps(stats)}.")


def drained(grid, accepted):
    """The counts of the job once nothing of it is live."""
    while True:
        for url in grid.urls:
            try:
                with urllib.request.urlopen(f"{url}/v1/pools/default/jobs/story", timeout=5) as answer:
                    counts = {state: count for state, count in json.load(answer)["counts"].items() if count}
                    if set(counts) <= {"COMPLETED", "FAILED"} and sum(counts.values()) >= accepted:
                        return counts
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(0.5)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--yardmaster", default="yardmaster")
    arguments.add_argument("--prometheus", default="prometheus")
    chosen = arguments.parse_args()
    # Ends what was started then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="yardmaster-story-") as data:
        grid = Grid(chosen.yardmaster, chosen.prometheus, Path(data))
        try:
            tell(grid)
        finally:
            grid.end()


if __name__ == "__main__":
    main()
