# Two workers with prefetch 1 share ten tasks. Each waits, in its first task, until the other has one
# too: so neither may be given everything.
declare_queue
seq 1 10 | tool publish --routing-key "$queue" --line-buffered
background consume --queue "$queue" --prefetch-count 1 --count 5 workers/take_turns "$folder/a" "$folder/b"
background consume --queue "$queue" --prefetch-count 1 --count 5 workers/take_turns "$folder/b" "$folder/a"
for process in "${processes[@]}"; do wait "$process"; done
equal "$(wc -l <"$folder/a")" 5 "tasks of the first worker"
equal "$(sort -n "$folder/a" "$folder/b")" "$(seq 1 10)" "all tasks, each once"
