# `main.pl --list` names the scenarios; `main.pl NAME` runs one against $AMQP_URI.
use v5.36;
use Harness;
use FindBin;

for my $file (sort glob "$FindBin::Bin/scenarios/*.pl") {
    defined(do $file) or die $@ || "$file: $!";
}

my ($name) = @ARGV;
if ($name eq '--list') {
    say for Harness::names();
    exit;
}
my $broker = Broker->new($ENV{AMQP_URI});
my $done = eval { Harness::named($name)->($broker); 1 };
print STDERR $@ unless $done;
$broker->clean_up;
exit !$done;
