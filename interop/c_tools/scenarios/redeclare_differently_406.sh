# The refusal's code and text reach the user of the tool.
declare_queue
if text=$(tool declare-queue --queue "$queue" --durable 2>&1); then fail "it was declared"; fi
contains "$text" "406, message: PRECONDITION_FAILED - inequivalent arg 'durable' for queue '$queue' in vhost '/': received 'true' but current is 'false'"
