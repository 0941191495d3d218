# What every AnyEvent::RabbitMQ scenario shares: registration, connections, unique names, waiting, cleaning up.
package Harness;
use v5.36;
use AnyEvent;
use AnyEvent::RabbitMQ;
use Data::Dumper;
use Exporter 'import';

our @EXPORT = qw(scenario call publish consume drain bodies wait_until wait_ready equal refused needed);
use constant DEADLINE_SECONDS => 50;
# In pure Perl it does not tell 1 from '1'.
$Data::Dumper::Sortkeys = $Data::Dumper::Terse = $Data::Dumper::Useperl = 1;
$Data::Dumper::Indent = 0;

my (%scenarios, @names);

# Register a scenario. It receives a Broker.
sub scenario($name, $run) {
    push @names, $name;
    $scenarios{$name} = $run;
}

sub names() { @names }
sub named($name) { $scenarios{$name} // die "no scenario is called $name\n" }

# What a method of the connection or a channel answers; a refusal is an exception.
sub call($on, $method, %arguments) {
    my $answer = AnyEvent->condvar;
    my $late = AnyEvent->timer(after => DEADLINE_SECONDS, cb => sub { $answer->croak("$method is not answered\n") });
    $on->$method(
        %arguments,
        on_success => sub { $answer->send(@_) },
        on_failure => sub {
            # What AnyEvent::Handle says comes after two other things, and what the broker says is a frame.
            my $why = @_ > 2 ? $_[2] : $_[0];
            my $close = ref $why && $why->can('method_frame') ? $why->method_frame : undef;
            $answer->croak($close ? $close->reply_code . ' ' . $close->reply_text . "\n" : "$why\n");
        },
    );
    return $answer->recv;
}

sub publish($channel, $key, $body, %options) {
    $channel->publish(routing_key => $key, body => $body, %options);
}

# A list to which the consumer adds what it is given, and its tag.
sub consume($channel, $queue, %options) {
    my @messages;
    my $answer = call($channel, 'consume', queue => $queue, on_consume => sub { push @messages, shift }, %options);
    return (\@messages, $answer->method_frame->consumer_tag);
}

# Everything that is in the queue.
sub drain($channel, $queue) {
    my @messages;
    while (1) {
        my $message = call($channel, 'get', queue => $queue);
        return \@messages if $message->{empty};
        push @messages, $message;
    }
}

sub bodies($messages) { [map { $_->{body}->payload } @$messages] }

sub wait_until($what, $condition) {
    my $late;
    my $timer = AnyEvent->timer(after => DEADLINE_SECONDS, cb => sub { $late = 1 });
    until ($condition->()) {
        die "timed out waiting until $what\n" if $late;
        my $turn = AnyEvent->condvar;
        my $soon = AnyEvent->timer(after => 0.005, cb => sub { $turn->send });
        $turn->recv;
    }
}

# Wait until so many messages are ready. The count may lag behind earlier publishes.
sub wait_ready($channel, $queue, $count) {
    wait_until("$count messages are ready", sub {
        call($channel, 'declare_queue', queue => $queue, passive => 1)->method_frame->message_count == $count;
    });
}

sub equal($actual, $expected, $what = 'value') {
    my ($one, $other) = map { Dumper($_) } $actual, $expected;
    die "$what: expected $other, got $one\n" if $one ne $other;
}

# It must be refused, and that has to say this.
sub refused($text, $attempt) {
    my $done = eval { $attempt->(); 1 };
    die "expected a refusal: $text\n" if $done;
    die "expected '$text' in: $@" if index($@, $text) < 0;
}

# The values of these environment variables; the scenario is skipped without them.
sub needed(@names) {
    return map { $ENV{$_} } @names unless grep { !$ENV{$_} } @names;
    say 'it needs ', join ' and ', @names;
    exit 77;
}

# The broker under test, and everything one scenario has opened or created on it.
package Broker;
use v5.36;

sub new($class, $uri) { bless {uri => $uri, connections => [], queues => [], exchanges => []}, $class }

sub parts($self, $uri = $self->{uri}) {
    $uri =~ m{^amqps?://(?:([^:]*):([^@]*)@)?([^:/]*):(\d+)} or die "a strange URI: $uri\n";
    return (user => $1, pass => $2, host => $3, port => $4);
}

sub connect($self, %options) {
    my $client = AnyEvent::RabbitMQ->new->load_xml_spec;
    push $self->{connections}->@*, $client;
    return Harness::call($client, 'connect', $self->parts, vhost => '/', timeout => 20, %options);
}

# A channel on a connection of its own.
sub channel($self) { Harness::call($self->connect, 'open_channel') }

# From here on use a broker that may be restarted, by what this returns, or skip the scenario.
sub restartable($self) {
    ($self->{uri}, my $command) = Harness::needed('RESTART_URI', 'RESTART_BROKER');
    return sub { system($command) == 0 or die "the restart failed\n" };
}

sub name($self, $kind) { sprintf 'interop.%s.%08x%08x', $kind, rand 2**32, rand 2**32 }

sub queue($self, $channel, %options) {
    push $self->{queues}->@*, my $queue = $self->name('queue');
    Harness::call($channel, 'declare_queue', queue => $queue, %options);
    return $queue;
}

sub exchange($self, $channel, $type, %options) {
    push $self->{exchanges}->@*, my $exchange = $self->name($type);
    Harness::call($channel, 'declare_exchange', exchange => $exchange, type => $type, %options);
    return $exchange;
}

sub clean_up($self) {
    my $channel = $self->channel;
    Harness::call($channel, 'delete_queue', queue => $_) for $self->{queues}->@*;
    Harness::call($channel, 'delete_exchange', exchange => $_) for $self->{exchanges}->@*;
    for my $client ($self->{connections}->@*) {
        Harness::call($client, 'close') if $client->is_open;
    }
}

1;
