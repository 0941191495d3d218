# Each line becomes a message; the consumer runs a command for each and stops after the last.
declare_queue
seq 1 50 | tool publish --routing-key "$queue" --line-buffered
tool consume --queue "$queue" --count 50 cat >"$folder/received"
equal "$(cat "$folder/received")" "$(seq 1 50)" "messages in order"
