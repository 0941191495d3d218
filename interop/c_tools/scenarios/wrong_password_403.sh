server=${AMQP_URI#*@}
host_and_port=${server%%/*}
if text=$(amqp-publish --url "amqp://guest:wrong@$host_and_port/%2f" -r nowhere -b "" 2>&1); then
    fail "the login was accepted"
fi
contains "$text" "403, message: ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."
