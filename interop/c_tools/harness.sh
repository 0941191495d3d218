# What every scenario of the command line tools shares. Sourced by main.
# shellcheck shell=bash

DEADLINE_SECONDS=20

# Every tool takes --url; only some take -u for it.
tool() { local name=$1; shift; "amqp-$name" --url "$AMQP_URI" "$@"; }

unique() { echo "interop.$1.$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')"; }

# Declare a queue with a name of its own and leave the name in $queue.
declare_queue() {
    queue=$(unique queue)
    queues+=("$queue")
    equal "$(tool declare-queue --queue "$queue" "$@")" "$queue" "declared name"
}

# Run a tool in the background, in a process group of its own, so that it can be killed together with
# the command it may be running. It ends with the scenario at the latest.
background() {
    local name=$1
    shift
    setsid "amqp-$name" --url "$AMQP_URI" "$@" &
    processes+=($!)
}

kill_group() { kill -KILL -- "-$1"; }

# Wait until a command succeeds.
until_true() {
    local deadline=$((SECONDS + DEADLINE_SECONDS))
    until "$@"; do
        ((SECONDS < deadline)) || fail "timed out waiting until: $*"
        sleep 0.05
    done
}

equal() { [[ $1 == "$2" ]] || fail "${3:-value}: expected '$2', got '$1'"; }

contains() { [[ $1 == *"$2"* ]] || fail "expected '$2' in '$1'"; }

fail() {
    echo "$*" >&2
    exit 1
}

clean_up() {
    set +e
    local process name
    for process in "${processes[@]}"; do
        kill_group "$process"
        wait "$process"
    done 2>/dev/null
    for name in "${queues[@]}"; do
        tool delete-queue --queue "$name" >/dev/null 2>&1
    done
    rm -rf "$folder"
}

queues=()
processes=()
folder=$(mktemp -d)
trap clean_up EXIT
trap 'fail "stopped from outside; the scenario took too long"' TERM
