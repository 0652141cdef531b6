# SPDX-License-Identifier: MIT
# The work items of the Perl peer and how they are measured: work.py in Perl.
package Work;
use strict;
use warnings;
use Exporter 'import';
use JSON::PP;
use List::Util qw(max);
use Time::HiRes qw(time usleep);

our @EXPORT = qw(increment same doze absent rate round_trips echo skewed up_down);

my $quick  = grep { $_ eq '--quick' } @ARGV;
my $target = $quick ? 0.01  : 0.3;          # seconds that one repeat of a rate shall take
my $most   = $quick ? 1_000 : 1_000_000;    # items in one repeat
my $mib    = 1 << 20;

# Microseconds: many short ones, some long ones, the longest last.
my @skewed = map { int($_ / ($quick ? 20 : 1)) } (2_000) x 200,
    (map { 1_000 * $_ } 20, 60, 25, 55, 30, 50, 35, 45), 300_000;

sub increment { $_[0] + 1 }
sub same      { $_[0] }
sub doze      { usleep($_[0]); $_[0] }

# Seconds that two workers need who take @skewed in order, one at a time, at no cost.
sub greedy {
    my @busy = (0, 0);
    $busy[$busy[0] <= $busy[1] ? 0 : 1] += $_ for @skewed;
    return max(@busy) * 1e-6;
}

our ($peer, $version);
my $json = JSON::PP->new->canonical;
$| = 1;

sub say_row { print $json->encode({ peer => $peer, version => $version, work => @_ }), "\n" }

sub row {
    my ($work, $unit, @values) = @_;
    my @sorted = sort { $a <=> $b } @values;
    my $median = ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
    say_row($work, value => $median, unit => $unit, n => scalar @values, all => \@values);
}

sub seconds { my ($call, @of) = @_; my $start = time; $call->(@of); return time - $start }

# What $once returns, 3 times or for half a second, whichever is more; 50 at most.
sub repeat {
    my ($once) = @_;
    my @values = $once->();
    my $start  = time;
    push @values, $once->() while !$quick && @values < 50 && (@values < 3 || time - $start < 0.5);
    return @values;
}

# So large an n that $call->(n) takes about $target. Finding it warms everything up.
sub sized {
    my ($call, $limit) = @_;
    my ($n, $took) = (4);
    $call->($n);    # workers that start only now would count
    while (($took = seconds($call, $n)) < $target / 4 && $n < $limit) {
        $n = 4 * $n < $limit ? 4 * $n : $limit;
    }
    my $sized = int($n * $target / $took);
    return $sized < 1 ? 1 : $sized > $limit ? $limit : $sized;
}

sub rate {
    my ($work, $last_of) = @_;
    my $some = sub {
        my ($n) = @_;
        my @xs    = 0 .. $n - 1;
        my $start = time;
        my $y     = $last_of->(\@xs);
        my $took  = time - $start;
        die "$work: $y is not $n" if $y != $n;
        return $n / $took;
    };
    my $n = sized($some, $most);
    row($work, 'items/s', repeat(sub { $some->($n) }));
}

sub absent { say_row($_[0], skipped => $_[1]) }

sub round_trips {
    my ($call) = @_;
    my $some = sub { [sort { $a <=> $b } map { seconds($call, $_) } 0 .. $_[0] - 1] };
    my $n    = sized($some, $most / 10);
    my @runs = repeat(sub { $some->($n) });
    row('apply_p50', 's', map { $_->[0.50 * ($n - 1)] } @runs);
    row('apply_p99', 's', map { $_->[0.99 * ($n - 1)] } @runs);
}

sub echo {
    my ($call) = @_;
    for (['echo_1MiB', $mib], ['echo_64MiB', ($quick ? 4 : 64) * $mib]) {
        my ($work, $size) = @$_;
        my $blob = "\1" x $size;
        my $some = sub { length $call->($blob) == $size or die $work for 1 .. $_[0] };
        my $n    = sized($some, 1000);
        # Each byte counts once on its way there and once on its way back.
        row($work, 'B/s', repeat(sub { 2 * $size * $n / seconds($some, $n) }));
    }
}

sub skewed {
    my ($call) = @_;
    $call->(\@skewed);
    row('skewed', 'ratio', repeat(sub { seconds($call, \@skewed) / greedy() }));
}

sub up_down {
    my ($call) = @_;
    $call->();
    row('up_down', 's', repeat(sub { seconds($call) }));
}

1;
