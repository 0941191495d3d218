# The task of a consumer that is killed before it acknowledges goes to others.
declare_queue
tool publish --routing-key "$queue" --body "task"
background consume --queue "$queue" --prefetch-count 1 workers/hold "$folder/held"
until_true test -s "$folder/held"
code=0
tool get --queue "$queue" || code=$?
equal "$code" 2 "exit code of get while the task is held"
kill_group "${processes[0]}"
got() { tool get --queue "$queue" >"$folder/got"; }
until_true got
equal "$(cat "$folder/got")" "task"
