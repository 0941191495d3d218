# A consumer bound with two keys of amq.direct gets those and no other.
keys=("$(unique key)" "$(unique key)" "$(unique key)")
declare_queue
background consume --exchange amq.direct --routing-key "${keys[0]}" --exclusive --no-ack \
    workers/append "$folder/received"
probed() {
    tool publish --exchange amq.direct --routing-key "${keys[0]}" --body probe
    grep -qsx probe "$folder/received"
}
until_true probed
tool publish --exchange amq.direct --routing-key "${keys[1]}" --body "wrong key"
tool publish --exchange amq.direct --routing-key "${keys[0]}" --body "right key"
until_true grep -qx "right key" "$folder/received"
equal "$(grep -vx probe "$folder/received")" "right key"
