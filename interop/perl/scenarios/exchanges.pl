use v5.36;
use Harness;

scenario tutorial_1_hello_world => sub ($broker) {
    my ($sender, $receiver) = ($broker->channel, $broker->channel);
    my $queue = $broker->queue($sender);
    my ($messages) = consume($receiver, $queue);
    publish($sender, $queue, 'Hello World!');
    wait_until('the message arrives', sub { @$messages == 1 });
    equal(bodies($messages), ['Hello World!']);
    my $deliver = $messages->[0]{deliver}->method_frame;
    equal([$deliver->exchange, $deliver->routing_key, $deliver->redelivered], ['', $queue, 0]);
};

# What a consumer gets on an exclusive queue of its own, bound with these keys.
sub subscribe($broker, $exchange, @keys) {
    my $channel = $broker->channel;
    my $queue = call($channel, 'declare_queue', exclusive => 1)->method_frame->queue;
    call($channel, 'bind_queue', queue => $queue, exchange => $exchange, routing_key => $_) for @keys;
    return (consume($channel, $queue))[0];
}

scenario tutorial_3_publish_subscribe => sub ($broker) {
    my $sender = $broker->channel;
    my $logs = $broker->exchange($sender, 'fanout');
    my @inboxes = map { subscribe($broker, $logs, '') } 1 .. 3;
    my @lines = qw(one two three);
    publish($sender, 'the key is ignored', $_, exchange => $logs) for @lines;
    for my $messages (@inboxes) {
        wait_until('a subscriber has all', sub { @$messages == 3 });
        equal(bodies($messages), \@lines);
    }
};

scenario tutorial_4_routing => sub ($broker) {
    my $sender = $broker->channel;
    my $logs = $broker->exchange($sender, 'direct');
    my ($disk, $screen) = (subscribe($broker, $logs, 'error'), subscribe($broker, $logs, qw(info warning error)));
    publish($sender, $_, $_, exchange => $logs) for qw(info debug error warning);
    wait_until('the logs arrive', sub { @$disk == 1 && @$screen == 3 });
    equal([bodies($disk), bodies($screen)], [['error'], ['info', 'error', 'warning']]);
};

scenario tutorial_5_topics => sub ($broker) {
    my $channel = $broker->channel;
    my $animals = $broker->exchange($channel, 'topic');
    my @keys = ('quick.orange.rabbit', 'lazy.orange.elephant', 'lazy.brown.fox', 'orange', 'lazy', '');
    my %expected = (
        '*.orange.*' => ['quick.orange.rabbit', 'lazy.orange.elephant'],
        '*.*.rabbit' => ['quick.orange.rabbit'],
        'lazy.#' => ['lazy.orange.elephant', 'lazy.brown.fox', 'lazy'],
        '#' => [map { $_ || 'none' } @keys],
    );
    my %queues = map { $_ => $broker->queue($channel) } keys %expected;
    for my $pattern (keys %queues) {
        call($channel, 'bind_queue', queue => $queues{$pattern}, exchange => $animals, routing_key => $pattern);
    }
    publish($channel, $_, $_ || 'none', exchange => $animals) for @keys;
    my %received = map { $_ => bodies(drain($channel, $queues{$_})) } keys %queues;
    equal(\%received, \%expected);
};

scenario headers_exchange_all_and_any => sub ($broker) {
    my $channel = $broker->channel;
    my $exchange = $broker->exchange($channel, 'headers');
    my %queues = map { $_ => $broker->queue($channel) } qw(all any);
    for my $match (keys %queues) {
        my $arguments = {'x-match' => $match, format => 'pdf', size => 'A4'};
        call($channel, 'bind_queue',
            queue => $queues{$match}, exchange => $exchange, routing_key => '', arguments => $arguments);
    }
    for (['both', {format => 'pdf', size => 'A4', more => 'x'}], ['one', {format => 'pdf', size => 'A5'}], ['none', {}]) {
        my ($body, $headers) = @$_;
        publish($channel, '', $body, exchange => $exchange, header => {headers => $headers});
    }
    equal(bodies(drain($channel, $queues{all})), ['both']);
    equal(bodies(drain($channel, $queues{any})), ['both', 'one']);
};

scenario alternate_exchange_takes_the_unroutable => sub ($broker) {
    my $channel = $broker->channel;
    my $strays = $broker->exchange($channel, 'fanout');
    my $main = $broker->exchange($channel, 'direct', arguments => {'alternate-exchange' => $strays});
    my ($routed, $unrouted) = map { $broker->queue($channel) } 1, 2;
    call($channel, 'bind_queue', queue => $routed, exchange => $main, routing_key => 'known');
    call($channel, 'bind_queue', queue => $unrouted, exchange => $strays, routing_key => '');
    publish($channel, $_, $_, exchange => $main) for qw(known unknown);
    equal(bodies(drain($channel, $routed)), ['known']);
    my $found = drain($channel, $unrouted);
    equal(bodies($found), ['unknown']);
    equal($found->[0]{ok}->method_frame->exchange, $main);
};

1;
