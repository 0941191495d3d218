# amqp-get tells an empty queue by exit code 2.
declare_queue
code=0
tool get --queue "$queue" || code=$?
equal "$code" 2 "exit code"
