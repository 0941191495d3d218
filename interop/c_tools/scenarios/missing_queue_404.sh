queue=$(unique missing)
if text=$(tool get --queue "$queue" 2>&1); then fail "there was a message"; fi
contains "$text" "404, message: NOT_FOUND - no queue '$queue' in vhost '/'"
