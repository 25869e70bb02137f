#!/usr/bin/env python3
"""Submits tasks to yardmaster by topic, and waits for their ends if asked to. Needs only docs/protocol.md.

    submit.py --count 10 --wait -- ./price --book 7
"""

import argparse
import json
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", default="127.0.0.1:9092", help="bootstrap servers")
    parser.add_argument("--namespace", default="yardmaster")
    parser.add_argument("--pool", default="default")
    parser.add_argument("--job", help="the job of all these tasks")
    parser.add_argument("--prefix", default=uuid.uuid4().hex[:12], help="ids are PREFIX-0, PREFIX-1 and so on")
    parser.add_argument("--count", type=int, default=1, help="how many tasks")
    parser.add_argument("--wait", action="store_true", help="until all have ended; prints each end as JSON")
    parser.add_argument("--timeout", type=float, default=300, help="seconds to wait at most")
    parser.add_argument("command", nargs="*", help="program and arguments")
    return parser.parse_args()


def follow(args):
    """A reader of `events` that starts at the present end, so that nothing of what we submit is missed."""
    topic = f"{args.namespace}.events"
    consumer = Consumer({
        "bootstrap.servers": args.kafka,
        "group.id": "nobody-joins",  # needed by the library; assign() uses no group
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    })
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ends = []
    for number in partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
        ends.append(TopicPartition(topic, number, end))
    consumer.assign(ends)
    return consumer


def submit(args, ids):
    """Returns when the broker has every record. The partitioner is the library's own: the server reroutes."""
    failed = []
    producer = Producer({"bootstrap.servers": args.kafka, "acks": "all", "enable.idempotence": True})
    for number, task_id in enumerate(ids):
        task = {"id": task_id, "pool": args.pool, "command": args.command, "payload": {"number": number}}
        if args.job:
            task["job"] = args.job
        record = {"v": 1, "type": "submit", "request_id": f"r-{task_id}", "task": task}
        while True:
            try:
                producer.produce(
                    f"{args.namespace}.tasks", key=args.pool, value=json.dumps(record),
                    on_delivery=lambda error, _message: failed.append(error) if error else None)
                break
            except BufferError:  # the queue is full: let some of it go out
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60) or failed:
        sys.exit(f"could not produce: {failed or 'the broker does not answer'}")


def wait(args, consumer, ids):
    """Prints the end of each task, or its refusal. Returns whether all are COMPLETED."""
    left, good = set(ids), True
    deadline = time.monotonic() + args.timeout
    while left:
        if time.monotonic() > deadline:
            print(f"{len(left)} tasks have not ended in time", file=sys.stderr)
            return False
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                print(message.error(), file=sys.stderr)
            continue
        event = json.loads(message.value())
        if event["type"] not in ("ended", "refused") or event.get("pool") != args.pool or event.get("id") not in left:
            continue
        left.remove(event["id"])
        state = event.get("state", "REFUSED")
        good = good and state == "COMPLETED"
        print(json.dumps({"id": event["id"], "state": state, "attempt": event.get("attempt", 0)}), flush=True)
    return good


def main():
    args = arguments()
    ids = [f"{args.prefix}-{number}" for number in range(args.count)]
    consumer = follow(args) if args.wait else None
    submit(args, ids)
    print(f"submitted {len(ids)} tasks to {args.pool}", file=sys.stderr)
    if consumer:
        good = wait(args, consumer, ids)
        consumer.close()
        sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
