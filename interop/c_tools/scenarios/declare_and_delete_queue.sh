# A named and a server-named queue; delete prints how many messages there were.
declare_queue
tool publish --routing-key "$queue" --body one
tool publish --routing-key "$queue" --body two
ready() { [[ $(tool delete-queue --if-empty --queue "$queue" 2>&1) == *"not empty"* ]]; }
until_true ready
equal "$(tool delete-queue --queue "$queue")" 2 "messages deleted"
equal "$(tool delete-queue --queue "$queue")" 0 "deleting again"
named=$(tool declare-queue --queue "")
queues+=("$named")
contains "$named" "amq.gen-"
