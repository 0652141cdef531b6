# SPDX-License-Identifier: MIT
# Perl's MCE. Calls go to kept workers as a process() of one item: there is no future of them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;

use MCE;
use MCE::Candy;
use MCE::Child;
use MCE::Loop;
use MCE::Map;
use Work;

($Work::peer, $Work::version) = ('MCE', "$MCE::VERSION");

# Runs $f for each item of a chunk, and hands the results on together.
sub chunks_of {
    my ($f) = @_;
    return sub { my ($mce, $chunk, $id) = @_; $mce->gather($id, map { $f->($_) } @$chunk) };
}

# Results in the order of the input, as they come.
my $in_order;

sub results {
    my ($run) = @_;
    my @out;
    $in_order = MCE::Candy::out_iter_array(\@out);
    $run->();
    return \@out;
}

# MCE's core: chunks of one item.
sub workers {
    my ($f) = @_;
    return MCE->new(
        max_workers => 2,
        gather      => sub { $in_order->(@_) },
        user_func   => chunks_of($f))->spawn;
}

sub process {
    my ($mce, $xs) = @_;
    return results(sub { $mce->process($xs) });
}

up_down(sub {
    my $mce = workers(\&increment);
    process($mce, [1]);
    $mce->shutdown;
});

MCE::Child->init(max_workers => 2);
rate('fresh', sub {
    my @children = map { MCE::Child->create(\&increment, $_) } @{ $_[0] };
    my $y;
    $y = $_->join for @children;
    return $y;
});

my $incrementing = workers(\&increment);
round_trips(sub { process($incrementing, [$_[0]])->[0] });
absent('apply_async', 'MCE has no future of a call on a kept worker');
MCE::Map->init(max_workers => 2);
rate('map',    sub { my @ys = mce_map { increment($_) } @{ $_[0] }; $ys[-1] });
MCE::Loop->init(max_workers => 2, gather => sub { $in_order->(@_) });
my $body = chunks_of(\&increment);
rate('imap', sub { my ($xs) = @_; results(sub { &mce_loop($body, $xs) })->[-1] });
rate('imap_1', sub { process($incrementing, $_[0])->[-1] });
$incrementing->shutdown;
MCE::Map->finish;
MCE::Loop->finish;

my $echoing = workers(\&same);
echo(sub { process($echoing, [$_[0]])->[0] });
$echoing->shutdown;

MCE::Map->init(max_workers => 2);
skewed(sub { my @ys = mce_map { doze($_) } @{ $_[0] } });
MCE::Map->finish;
