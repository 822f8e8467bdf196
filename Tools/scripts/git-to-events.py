#!/usr/bin/env python3
"""Turns the history of a git checkout into CloudEvents, one JSON object a line, oldest commit first.

    commit.created                                no subject; id = the commit's hash
    file.added, file.modified, file.deleted       subject (stream) = the file's path; id = hash:number;
                                                  causationid = the commit's id
    file.changed                                  anything else, such as a file that became a link

All events of a commit have its hash as correlationid and its commit time as time. A rename is a deletion
and an addition. A path that cannot name a stream (over 255 bytes, or with control characters) gives events
without a subject. Merges have no files of their own. Standard library only; needs git.
"""
import argparse
import json
import os
import re
import subprocess
import sys

KINDS = {"A": "file.added", "M": "file.modified", "D": "file.deleted"}
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
START = "\x01"  # stands before a commit's hash
FORMAT = "%x01%H%x00%an%x00%cI%x00%s"


def main():
    arguments = parse_arguments()
    command = [
        "git", "-C", arguments.checkout, "log", "--reverse", "--no-renames", "--name-status", "-z",
        "--date-order", "--format=" + FORMAT,
    ]
    try:
        history = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        print(f"git-to-events: cannot run git: {error.strerror}", file=sys.stderr)
        return 3
    if history.returncode != 0:
        reason = history.stderr.decode("utf-8", "replace").strip().splitlines()
        why = reason[-1] if reason else "git failed"
        print(f"git-to-events: {arguments.checkout}: {why}", file=sys.stderr)
        return 3
    try:
        count, size, commits = write_events(history.stdout, arguments.output)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"git-to-events: {arguments.output}: {error.strerror}", file=sys.stderr)
        return 3
    print(f"{count:,} events of {commits:,} commits, {size / 1e6:,.1f} MB", file=sys.stderr)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description="Turns a git history into CloudEvents, one a line.")
    parser.add_argument("checkout", nargs="?", default=".", help="the checkout (default: here)")
    parser.add_argument("-o", "--output", default="-", help="file to write (default: standard output)")
    return parser.parse_args()


def write_events(history, path):
    count = size = commits = 0
    out = sys.stdout if path == "-" else open(path, "w", encoding="utf-8", newline="\n")
    try:
        for event in events_of(history):
            line = json.dumps(event, separators=(",", ":")) + "\n"
            out.write(line)
            count += 1
            commits += event["type"] == "commit.created"
            size += len(line)
        out.flush()
    finally:
        if out is not sys.stdout:
            out.close()
    return count, size, commits


def events_of(history):
    """Reads fields that end with NUL: a commit's four, then a status and a path for each file."""
    fields = (field.decode("utf-8", "replace") for field in history.split(b"\x00"))
    for field in fields:
        field = field.strip("\n")
        if field.startswith(START):
            commit, author, time, summary = field[1:], next(fields), next(fields), next(fields)
            data = {"hash": commit, "author": author, "summary": summary}
            yield cloud_event("commit.created", commit, time, commit, None, None, data)
            number = 0
        elif field:
            path = next(fields)
            names_stream = len(path.encode("utf-8")) <= 255 and CONTROL.search(path) is None
            stream = path if names_stream else None
            kind = KINDS.get(field, "file.changed")
            yield cloud_event(kind, f"{commit}:{number}", time, commit, commit, stream, {"path": path})
            number += 1


def cloud_event(kind, event_id, time, correlation, causation, stream, data):
    event = {"specversion": "1.0", "id": event_id, "source": "git", "type": kind}
    if stream is not None:
        event["subject"] = stream
    event.update(time=time, datacontenttype="application/json", correlationid=correlation)
    if causation is not None:
        event["causationid"] = causation
    event["data"] = data
    return event


if __name__ == "__main__":
    sys.exit(main())
