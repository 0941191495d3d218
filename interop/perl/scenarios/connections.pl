use v5.36;
use Harness;

# The client does not say that it understands the broker's refusal of a login (AMQPLAIN), and is hung up on.
scenario wrong_password_403 => sub ($broker) {
    die "it was let in\n" if eval { $broker->connect(pass => 'wrong') };
    die $@ unless $@ =~ /^(Broken pipe|Connection reset by peer|Unexpected end-of-file)/;
};

scenario messages_over_tls => sub ($broker) {
    my ($at, $folder) = needed('AMQPS_URI', 'TLS_FOLDER');
    my %at = $broker->parts($at);
    my @secure = (host => $at{host}, port => $at{port}, tls => 1);
    refused('certificate verify failed', sub { $broker->connect(@secure, tls_ctx => {verify => 1}) });

    my $tls = {verify => 1, verify_peername => 'https', ca_file => "$folder/ca.pem"};
    my $channel = call($broker->connect(@secure, tls_ctx => $tls), 'open_channel');
    my $queue = $broker->queue($channel);
    my $body = join ',', 1 .. 80_000;
    publish($channel, $queue, $body);
    equal(bodies(drain($channel, $queue))->[0] eq $body, 1 == 1, 'the body came back unchanged');
};

# A client that connects again finds its queue, and what was confirmed before.
scenario reconnect_after_broker_restart => sub ($broker) {
    my $restart = $broker->restartable;
    my $closed;
    my $connection = $broker->connect(on_close => sub ($why) { $closed = $why });
    my $channel = call($connection, 'open_channel');
    call($channel, 'confirm');
    my $queue = $broker->queue($channel, durable => 1);
    my $confirmed;
    publish($channel, $queue, 'before', header => {delivery_mode => 2}, on_ack => sub { $confirmed = 1 });
    wait_until('it is confirmed', sub { $confirmed });
    $restart->();
    wait_until('the connection is closed', sub { $closed });
    equal($closed->method_frame->reply_code, 320, 'reply code');

    $channel = $broker->channel;
    my ($messages) = consume($channel, $queue);
    publish($channel, $queue, 'after');
    wait_until('both are there', sub { @$messages == 2 });
    equal(bodies($messages), ['before', 'after']);
};

1;
