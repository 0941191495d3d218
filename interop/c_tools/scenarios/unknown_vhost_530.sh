vhost=$(unique vhost)
if text=$(amqp-publish --url "${AMQP_URI%/*}/$vhost" -r nowhere -b "" 2>&1); then
    fail "the vhost was opened"
fi
contains "$text" "530, message: NOT_ALLOWED - vhost $vhost not found"
