use v5.36;
use Harness;
use Net::AMQP::Value;

scenario tutorial_7_confirms_in_batches => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel, durable => 1);
    call($channel, 'confirm');
    my $confirmed = 0;
    my @bodies = map { "$_" } 0 .. 999;
    publish($channel, $queue, $_, header => {delivery_mode => 2}, on_ack => sub { $confirmed++ }) for @bodies;
    wait_until('all are confirmed', sub { $confirmed == 1000 });
    equal(bodies(drain($channel, $queue)), \@bodies);
};

scenario full_queue_that_rejects_nacks_the_publish => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel, arguments => {'x-max-length' => 1, 'x-overflow' => 'reject-publish'});
    call($channel, 'confirm');
    my @events;
    for my $body ('fits', 'does not') {
        publish($channel, $queue, $body,
            on_ack => sub { push @events, "ack $body" }, on_nack => sub { push @events, "nack $body" });
    }
    wait_until('both are settled', sub { @events == 2 });
    equal([sort @events], ['ack fits', 'nack does not']);
    equal(bodies(drain($channel, $queue)), ['fits']);
};

scenario mandatory_message_is_returned_before_its_ack => sub ($broker) {
    my $channel = $broker->channel;
    call($channel, 'confirm');
    my @events;
    publish($channel, 'no such key', 'stray', exchange => 'amq.direct', mandatory => 1,
        on_return => sub ($frame) {
            my $return = $frame->method_frame;
            push @events, [map { $return->$_ } qw(reply_code reply_text exchange routing_key)];
        },
        on_ack => sub { push @events, 'ack' });
    wait_until('it is confirmed', sub { @events == 2 });
    # The return waits for its body, and is told of when the ack has come as well.
    my ($return) = grep { ref } @events;
    equal($return, [312, 'NO_ROUTE', 'amq.direct', 'no such key']);
};

# Everything that the client can both write and read. At the top, it makes texts of numbers without a type.
scenario every_header_type_survives => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel);
    my %headers = (
        longstr => 'plain',
        digits => Net::AMQP::Value::String->new('123'),
        'empty string' => '',
        true => Net::AMQP::Value::Boolean->new(1),
        false => Net::AMQP::Value::Boolean->new(0),
        'int 32' => Net::AMQP::Value::Integer->new(-123456),
        timestamp => Net::AMQP::Value::Timestamp->new(981173106),
        table => {deep => {deeper => [1, 'two', {three => 3}]}, empty => {}},
        array => [1, 'text', [], ['nested']],
    );
    publish($channel, $queue, '', header => {headers => \%headers});
    my $received = call($channel, 'get', queue => $queue)->{header}->headers;
    equal([sort keys %$received], [sort keys %headers]);
    for my $name (keys %headers) {
        my $sent = $headers{$name};
        if (ref($sent) =~ /^Net::AMQP::Value/) {
            equal($received->{$name} == $sent->[0], 1 == 1, $name);
        } else {
            equal($received->{$name}, $sent, $name);
        }
    }
};

scenario large_body_10_mib => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel);
    my $body = join '', map { chr int rand 256 } 1 .. 1024;
    $body x= 10 * 1024;
    publish($channel, $queue, $body);
    equal(bodies(drain($channel, $queue))->[0] eq $body, 1 == 1, 'the body came back unchanged');
};

scenario direct_reply_to => sub ($broker) {
    my ($server, $client) = ($broker->channel, $broker->channel);
    my $requests = $broker->queue($server);
    consume($server, $requests, on_consume => sub ($request) {
        my $header = $request->{header};
        publish($server, $header->reply_to, 2 * $request->{body}->payload,
            header => {correlation_id => $header->correlation_id});
    });
    my ($replies) = consume($client, 'amq.rabbitmq.reply-to');
    for my $n (30, 5, 12) {
        publish($client, $requests, $n, header => {reply_to => 'amq.rabbitmq.reply-to', correlation_id => "call $n"});
    }
    wait_until('all replies are here', sub { @$replies == 3 });
    my %received = map { $_->{header}->correlation_id => $_->{body}->payload } @$replies;
    equal(\%received, {'call 30' => '60', 'call 5' => '10', 'call 12' => '24'});
    for (@$replies) {
        die "a strange routing key\n" unless $_->{deliver}->method_frame->routing_key =~ /^amq\.rabbitmq\.reply-to\./;
    }
};

1;
