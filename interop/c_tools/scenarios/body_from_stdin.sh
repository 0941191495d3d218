# A MiB of binary body, with every property the tool can set.
declare_queue --durable
head -c 1048576 /dev/urandom >"$folder/sent"
tool publish --routing-key "$queue" --persistent --content-type application/octet-stream \
    --content-encoding identity --reply-to nobody --header "colour: hare brown" <"$folder/sent"
tool get --queue "$queue" >"$folder/received"
cmp "$folder/sent" "$folder/received"
