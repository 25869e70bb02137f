#!/usr/bin/env python3
"""A worker of yardmaster in one file: runs each task's command. Written from docs/protocol.md, on one thread.

    worker.py --pool default --slots 4
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", default="127.0.0.1:9092", help="bootstrap servers")
    parser.add_argument("--namespace", default="yardmaster")
    parser.add_argument("--pool", default="default")
    parser.add_argument("--worker", default=f"py-{uuid.uuid4().hex[:8]}", help="this worker's name")
    parser.add_argument("--slots", type=int, default=2, help="how many tasks at a time")
    parser.add_argument("--exit-after", type=int, default=0, help="leave after so many tasks (0: stay)")
    return parser.parse_args()


class Running:
    """One attempt: its names, its process, its output in a file."""

    def __init__(self, message):
        self.names = {name: message[name] for name in ("task", "attempt", "token")}
        self.started_at_ms = int(time.time() * 1000)
        self.cancelled, self.timed_out, self.kill_at = False, False, None
        timeout = message.get("run_timeout_ms")
        self.stop_at = time.monotonic() + timeout / 1000 if timeout else None
        self.output = tempfile.TemporaryFile()
        stdin = tempfile.TemporaryFile()
        stdin.write(json.dumps(message.get("payload")).encode())
        stdin.seek(0)
        self.process = subprocess.Popen(
            message["command"], stdin=stdin, stdout=self.output, cwd=message.get("cwd"),
            env={**os.environ, **message["env"]}, start_new_session=True)
        stdin.close()

    def send_signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, grace_ms):
        self.send_signal(signal.SIGTERM)
        self.kill_at = time.monotonic() + grace_ms / 1000

    def result(self, limit):
        """The output, when it is JSON and not too long."""
        self.output.seek(0)
        text = self.output.read(limit + 1)
        try:
            return json.loads(text) if len(text) <= limit else None
        except ValueError:
            return None


class Worker:
    def __init__(self, args):
        self.args = args
        self.channel = f"{args.namespace}.assign.{args.pool}.{args.worker}"
        self.producer = Producer({"bootstrap.servers": args.kafka, "acks": "all", "enable.idempotence": True})
        self.running = {}
        self.highest = {}  # task -> the highest attempt seen, and when
        self.done, self.leaving = 0, False
        self.consumer = None
        self.join()

    # Joining: docs/protocol.md, "Joining", steps 1 to 6.

    def join(self):
        self.incarnation = uuid.uuid4().hex
        self.welcome, self.read_seq = None, 0
        if self.consumer:
            self.consumer.close()
        self.consumer = Consumer({
            "bootstrap.servers": self.args.kafka,
            "group.id": "nobody-joins",  # needed by the library; assign() uses no group
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
        })
        self.lease_from = time.monotonic()
        place = TopicPartition(self.channel, 0, self.channel_end())
        self.hello()
        self.consumer.assign([place])

    def channel_end(self):
        if self.channel not in self.consumer.list_topics(timeout=30).topics:
            return 0
        try:
            return self.consumer.get_watermark_offsets(TopicPartition(self.channel, 0), timeout=30)[1]
        except KafkaException:
            return 0

    def hello(self):
        self.said_hello = time.monotonic()
        self.say("hello", protocols=[1], slots=self.args.slots, labels={}, running=self.list())

    # Speaking.

    def say(self, kind, **fields):
        sent = time.monotonic()

        def delivered(error, _message):
            if error is None and kind in ("hello", "heartbeat"):
                self.lease_from = max(self.lease_from, sent)

        record = {"v": 1, "type": kind, "pool": self.args.pool, "worker": self.args.worker,
                  "incarnation": self.incarnation, **fields}
        self.producer.produce(
            f"{self.args.namespace}.status", key=self.args.pool, value=json.dumps(record), on_delivery=delivered)

    def list(self):
        return [one.names for one in self.running.values()]

    def forget(self):
        """What was seen long ago and does not run: its id may be used again."""
        old = time.monotonic() - 600
        for task in [task for task, (_, seen) in self.highest.items() if seen < old and task not in self.running]:
            del self.highest[task]

    def heartbeat(self):
        self.forget()
        self.next_beat = time.monotonic() + self.welcome["heartbeat_ms"] / 1000
        free = max(0, self.args.slots - len(self.running))
        self.say("heartbeat", read_seq=self.read_seq, free_slots=free, draining=self.leaving, running=self.list())

    # Listening.

    def take(self, message):
        if message.get("incarnation") != self.incarnation:
            return
        kind = message["type"]
        if kind == "rehello":
            self.join()
        elif kind == "replaced":
            self.stop_all()
            sys.exit("another worker has this name")
        elif kind == "welcome":
            self.welcomed(message)
        elif self.welcome is None:
            return
        elif kind == "assign":
            self.assigned(message)
        elif kind == "cancel":
            self.cancel(message)
        if self.welcome:
            self.read_seq = max(self.read_seq, message.get("seq", 0))

    def welcomed(self, message):
        self.welcome = message
        self.next_beat = time.monotonic() + message["heartbeat_ms"] / 1000
        adopted = {one["task"]: one for one in message["adopt"]}
        for task in list(self.running):
            if task in adopted:
                self.running[task].names = adopted[task]
            else:
                self.running.pop(task).send_signal(signal.SIGKILL)

    def assigned(self, message):
        task, attempt = message["task"], message["attempt"]
        names = {name: message[name] for name in ("task", "attempt", "token")}
        if attempt <= self.highest.get(task, (0, 0))[0]:
            return  # seen before
        self.highest[task] = (attempt, time.monotonic())
        if task in self.running:  # an older attempt is not this worker's any more
            self.running.pop(task).send_signal(signal.SIGKILL)
        if self.leaving or not message["command"]:
            why = "this worker is leaving" if self.leaving else "this worker runs only commands"
            self.say("rejected", **names, message=why)
            return
        try:
            self.running[task] = Running(message)
        except OSError as error:
            self.say("failed", **names, error={"kind": "spawn", "message": str(error), "retryable": False})
            self.done += 1
            return
        self.say("started", **names)

    def cancel(self, message):
        one = self.running.get(message["task"])
        if one and one.names["attempt"] == message["attempt"]:
            one.cancelled = True
            one.stop(message["grace_ms"])

    # Running.

    def look_after(self):
        now = time.monotonic()
        for task, one in list(self.running.items()):
            if one.stop_at and now > one.stop_at:
                one.stop_at, one.timed_out = None, True
                one.stop(self.welcome["grace_ms"] if self.welcome else 5000)
            if one.kill_at and now > one.kill_at:
                one.kill_at = None
                one.send_signal(signal.SIGKILL)
            if one.process.poll() is not None:
                del self.running[task]
                self.highest[task] = (one.names["attempt"], now)
                self.report(one)

    def report(self, one):
        code = one.process.returncode
        fields = {**one.names, "started_at_ms": one.started_at_ms, "ended_at_ms": int(time.time() * 1000)}
        fields["exit_code" if code >= 0 else "signal"] = abs(code)
        limit = self.welcome["limits"]["result_bytes"] if self.welcome else 16384
        if code == 0:
            self.say("completed", **fields, result=one.result(limit))
        elif one.cancelled and not one.timed_out:
            self.say("cancelled", **fields)
        else:
            kind = "timeout" if one.timed_out else "exit" if code > 0 else "signal"
            self.say("failed", **fields, error={"kind": kind, "message": f"{kind} {abs(code)}", "retryable": True})
        one.output.close()
        self.done += 1

    def stop_all(self):
        for one in self.running.values():
            one.send_signal(signal.SIGKILL)
        self.running.clear()

    def check_lease(self):
        """Without an acknowledged heartbeat the tasks may be somebody else's by now: stop them, join anew."""
        margin = (self.welcome["lease_ms"] - self.welcome["heartbeat_ms"]) / 1000
        if time.monotonic() > self.lease_from + margin:
            self.stop_all()
            self.join()

    def run(self):
        while not (self.leaving and not self.running):
            message = self.consumer.poll(0.02)
            while message is not None:
                if message.error() is None:  # errors: the channel isn't there yet, or the broker is away
                    self.take(json.loads(message.value()))
                message = self.consumer.poll(0)
            self.look_after()
            self.producer.poll(0)
            now = time.monotonic()
            if self.welcome is None and now > self.said_hello + 10:
                self.hello()
            if self.welcome:
                self.check_lease()
            if self.welcome and now > self.next_beat:
                self.heartbeat()
            if self.args.exit_after and self.done >= self.args.exit_after:
                self.leaving = True
        self.say("goodbye")
        self.producer.flush(30)
        self.consumer.close()


def main():
    worker = Worker(arguments())

    def leave(_number, _frame):
        worker.leaving = True

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    print(f"worker {worker.args.worker} of {worker.args.pool} has started", file=sys.stderr, flush=True)
    worker.run()


if __name__ == "__main__":
    main()
