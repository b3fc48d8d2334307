# The first process of a private host: keeps its mount namespace, starts its libvirtd when a
# line is written into the fifo, and reaps its orphans at once. Init programs of containers may
# leave a killed QEMU as a zombie for a second or two, and libvirt waits for it all that time.
# In Perl because Node can neither become a subreaper nor adopt; perl-base is on every Debian.
#
#   perl host-init.pl FIFO COMMAND [ARGUMENT...]

use strict;
use warnings;
use POSIX qw(mkfifo uname);

my ($fifo, @command) = @ARGV;
my $PR_SET_CHILD_SUBREAPER = 36;
my $prctl = (uname())[4] eq 'aarch64' ? 167 : 157;
syscall($prctl, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or die "prctl: $!";
$SIG{CHLD} = 'IGNORE';    # the kernel reaps, adopted children too

# Whoever sees the fifo knows that the namespace is ready.
mkfifo($fifo, 0600) or die "mkfifo $fifo: $!";
open(my $orders, '+<', $fifo) or die "open $fifo: $!";
while (<$orders>) {
    next if fork;
    $SIG{CHLD} = 'DEFAULT';
    exec(@command) or die "exec $command[0]: $!";
}
