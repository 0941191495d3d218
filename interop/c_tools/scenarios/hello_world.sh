# One message in, the same message out.
declare_queue
tool publish --routing-key "$queue" --body "Hello World!"
equal "$(tool get --queue "$queue")" "Hello World!" "body"
