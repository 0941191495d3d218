# Two consumers, each with a server-named exclusive queue bound to amq.fanout, see the same message.
# The tool does not tell when it has bound its queue, so probes go out until both have seen one.
mark=$(unique message)
for subscriber in one two; do
    touch "$folder/$subscriber"
    background consume --exchange amq.fanout --routing-key any --exclusive --no-ack \
        workers/append "$folder/$subscriber" 2>"$folder/$subscriber.log"
done
both_have() {
    tool publish --exchange amq.fanout --body "$1"
    grep -qx "$1" "$folder/one" && grep -qx "$1" "$folder/two"
}
until_true both_have "$mark probe"
until_true both_have "$mark"
contains "$(cat "$folder/one.log")" "Server provided queue name: amq.gen-"
