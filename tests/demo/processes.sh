# Sourced by run: processes, and the patience they need. What they are for is in world.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log and existing are run's

builder=""

# patiently NAME WHAT COMMAND...: runs it with its output in a log, and says now and then that it is still at it. In a process group of its own,
# so that all of it can be ended.
patiently() {
    local name=$1 what=$2 began=$SECONDS next=$((SECONDS + 15))
    shift 2
    log=$dir/$name.log
    echo "$what"
    set -m
    "$@" </dev/null >"$dir/$name.out" 2>"$log" &
    builder=$!
    set +m
    while kill -0 "$builder" 2>/dev/null; do
        if ((SECONDS >= next)); then
            echo "  ... $((SECONDS - began)) s so far: $(tail -n 1 "$log" | cut -c 1-100)"
            next=$((SECONDS + 15))
        fi
        sleep 0.2
    done
    wait "$builder"
    builder=""
}

# await SECONDS WHAT COMMAND...: until the command succeeds.
await() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "waited in vain for $what"
        all_alive
        sleep 0.1
    done
}

# launch NAME COMMAND...: in the background, in a process group of its own, its output in NAME.log. The directory is part of
# each command line, by which `running` knows the process again.
launch() {
    local name=$1
    shift
    set -m
    "$@" </dev/null >"$dir/$name.log" 2>&1 &
    set +m
    echo "$name $!" >>"$dir/pids"
    disown
}

# running: "name pid" of each launched process that lives and is still ours, the newest first.
running() {
    local name pid
    [[ -f $dir/pids ]] || return 0
    while read -r name pid; do
        if [[ $(ps -ww -o args= -p "$pid" 2>/dev/null) == *"$dir"* ]]; then echo "$name $pid"; fi
    done < <(sed '1!G;h;$!d' "$dir/pids")
}

# Fails when a launched process has ended.
all_alive() {
    local name pid
    [[ -f $dir/pids ]] || return 0
    while read -r name pid; do
        kill -0 "$pid" 2>/dev/null && continue
        log=$dir/$name.log
        fail "the $name has ended"
    done <"$dir/pids"
}

stop_builder() {
    [[ -n $builder ]] || return 0
    kill -- "-$builder" 2>/dev/null || true
    wait "$builder" 2>/dev/null || true
    builder=""
}

# TERM, and KILL for what is still there ten seconds later.
stop_all() {
    local signal name pid i
    stop_builder
    for signal in TERM KILL; do
        while read -r name pid; do kill -s "$signal" "$pid" 2>/dev/null || true; done < <(running)
        for ((i = 0; i < 100; i++)); do
            [[ -n $(running) ]] || break 2
            sleep 0.1
        done
    done
    rm -f "$dir/pids"
}

# Should this script be killed outright, what it started goes all the same.
guard() {
    local parent=$$ state
    (
        trap '' INT
        while state=$(ps -o stat= -p "$parent") && [[ $state != Z* ]]; do sleep 1; done
        [[ -d $dir && ! -f $dir/torn-down ]] || exit 0
        existing=$(cat "$dir/existing")
        tear_down
        [[ -n ${DEMO_DIR:-} ]] || rm -rf "$dir"
    ) </dev/null >/dev/null 2>&1 &
}
