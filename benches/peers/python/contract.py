"""What every peer in Python keeps to: the same arguments, one line of JSON on stdout, and nothing left behind."""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
PATIENCE = 300

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def peer(what):
    """The arguments. At the end its children are ended, and what it wrote goes away unless something failed."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--tasks", type=int, required=True, help="how many are timed")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="everything that is written lies there")
    parser.add_argument("--follow-stdin", action="store_true", help="end when stdin ends")
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    given.data = pathlib.Path(tempfile.mkdtemp(prefix="peer-", dir=given.data)).resolve()
    given.children = []
    # Libraries print what they like: only `report` gets to stdout.
    given.stdout = os.dup(1)
    os.dup2(2, 1)
    # An exception: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    if given.follow_stdin:
        threading.Thread(target=_follow_stdin, daemon=True).start()
    try:
        yield given
    finally:
        stop(given.children)
    shutil.rmtree(given.data)


def report(given, peer, version, seconds, **rest):
    """The one line on stdout."""
    line = {"peer": peer, "version": version, "tasks": given.tasks, "seconds": round(seconds, 3)}
    line |= {"tasks_per_s": round(given.tasks / seconds, 1)} | rest
    os.write(given.stdout, (json.dumps(line) + "\n").encode())


def start(given, name, command, **options):
    """A child that writes to a file and ends with this process, however that comes."""
    with open(given.data / f"{name}.log", "wb") as output:
        given.children.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
                **options,
            )
        )


def stop(children):
    """Ends them, the last one first, and waits for each."""
    for child in reversed(children):
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until(given, what, is_so):
    """Waits for it; a child that ends meanwhile is a failure."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if any(child.poll() is not None for child in given.children):
            sys.exit(f"a child ended before {what}; its log is in {given.data}")
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come in {PATIENCE} s; logs are in {given.data}")
        time.sleep(0.002)


def free_port():
    """A port on loopback that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def leave_network():
    """Leaves all networks but a loopback of its own: for what can't be told where to listen.

    To be called before any thread is started. Where the system does not let users do that, a warning is all.
    """
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        print(f"it will listen on all addresses: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    pathlib.Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    pathlib.Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


def _follow_stdin():
    # Not sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
