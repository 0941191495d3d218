use v5.36;
use Harness;

scenario prefetch_per_consumer => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel);
    call($channel, 'qos', prefetch_count => 2);
    my ($first) = consume($channel, $queue, no_ack => 0);
    my ($second) = consume($channel, $queue, no_ack => 0);
    publish($channel, $queue, $_) for 1 .. 10;
    wait_until('both consumers are full', sub { @$first + @$second == 4 });
    wait_ready($channel, $queue, 6);
    equal([scalar @$first, scalar @$second], [2, 2]);
    $channel->ack(delivery_tag => $first->[0]{deliver}->method_frame->delivery_tag);
    wait_until('the ack made room', sub { @$first == 3 });
    wait_ready($channel, $queue, 5);
    equal(scalar @$second, 2);
};

scenario nacked_messages_return_to_their_places => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel);
    publish($channel, $queue, $_) for 1 .. 5;
    my @taken = map { call($channel, 'get', queue => $queue, no_ack => 0)->{ok}->method_frame } 1 .. 4;
    equal([map { $_->redelivered } @taken], [0, 0, 0, 0]);
    # The client has no nack.
    $channel->reject(delivery_tag => $taken[$_]->delivery_tag, requeue => 1) for 3, 1;
    my @again = map { [$_->{body}->payload, $_->{ok}->method_frame->redelivered] } drain($channel, $queue)->@*;
    equal(\@again, [['2', 1], ['4', 1], ['5', 0]]);
};

scenario consumer_is_told_when_its_queue_is_deleted => sub ($broker) {
    my ($consumer, $other) = ($broker->channel, $broker->channel);
    my $queue = $broker->queue($other);
    my $cancelled;
    my (undef, $tag) = consume($consumer, $queue, on_cancel => sub ($frame) { $cancelled = $frame->method_frame });
    call($other, 'delete_queue', queue => $queue);
    wait_until('the server cancels the consumer', sub { $cancelled });
    equal($cancelled->consumer_tag, $tag);
    equal($consumer->is_open, 1 == 1, 'the channel is open');
};

scenario cancelled_consumer_gets_no_more => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel);
    my ($messages, $tag) = consume($channel, $queue, no_ack => 0);
    publish($channel, $queue, 'before');
    wait_until('the first is delivered', sub { @$messages == 1 });
    call($channel, 'cancel', consumer_tag => $tag);
    publish($channel, $queue, 'after');
    $channel->ack(delivery_tag => $messages->[0]{deliver}->method_frame->delivery_tag);
    equal(bodies(drain($channel, $queue)), ['after']);
    equal(scalar @$messages, 1);
};

scenario exclusive_queue_is_locked_for_others_405 => sub ($broker) {
    my ($owner, $other) = ($broker->connect, $broker->connect);
    my $queue = $broker->name('queue');
    call(call($owner, 'open_channel'), 'declare_queue', queue => $queue, exclusive => 1);
    my $text = "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$queue' in vhost '/'. It could be "
        . 'originally declared on another connection or the exclusive property value does not match that of the '
        . 'original declaration.';
    for (['declare_queue', exclusive => 1], ['declare_queue', passive => 1], ['get'], ['consume'], ['purge_queue'],
        ['delete_queue'], ['bind_queue', exchange => 'amq.direct', routing_key => 'key']) {
        my ($method, %arguments) = @$_;
        my $why = 'nothing';
        my $channel = call($other, 'open_channel', on_close => sub ($frame) {
            $why = join ' ', map { $frame->method_frame->$_ } qw(reply_code reply_text);
        });
        refused('', sub { call($channel, $method, queue => $queue, %arguments) });
        equal($why, $text);
    }
};

scenario expired_message_is_dead_lettered => sub ($broker) {
    say 'the client cannot read the numbers of 64 bits in x-death';
    exit 77;
};

scenario priority_queue_serves_the_highest_first => sub ($broker) {
    my $channel = $broker->channel;
    my $queue = $broker->queue($channel, arguments => {'x-max-priority' => 5});
    publish($channel, $queue, $_, header => {priority => $_}) for 1, 5, 0, 3, 5;
    equal(bodies(drain($channel, $queue)), ['5', '5', '3', '1', '0']);
};

1;
