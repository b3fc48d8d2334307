# The first process of a private host: keeps its mount namespace, starts its libvirtd when a
# line is written into the fifo, and reaps its orphans at once. Init programs of containers may
# leave a killed QEMU as a zombie for a second or two, and libvirt waits for it all that time.
# In Perl because Node can neither become a subreaper nor adopt; perl-base is on every Debian.
#
#   perl host-init.pl FIFO COMMAND [ARGUMENT...]

use strict;
use warnings;
use POSIX qw(mkfifo uname :sys_wait_h);

my ($fifo, @command) = @ARGV;
my $PR_SET_CHILD_SUBREAPER = 36;
my $prctl = (uname())[4] eq 'aarch64' ? 167 : 157;
syscall($prctl, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or die "prctl: $!";

# As a service manager does, a libvirtd that failed is started again: of one that was killed while
# it forked, the child holds the lock of the pid file for a moment. One that was killed is not.
my ($libvirtd, $failed) = (0, 0);
$SIG{CHLD} = sub {
    while ((my $pid = waitpid(-1, WNOHANG)) > 0) {
        $failed = 1 if $pid == $libvirtd && WIFEXITED($?) && WEXITSTATUS($?) != 0;
    }
};

sub start {
    $failed = 0;
    $libvirtd = fork;
    return if $libvirtd;
    $SIG{CHLD} = 'DEFAULT';
    exec(@command) or die "exec $command[0]: $!";
}

# A process that sees the fifo knows that the namespace is ready.
mkfifo($fifo, 0600) or die "mkfifo $fifo: $!";
open(my $orders, '+<', $fifo) or die "open $fifo: $!";
for (;;) {
    vec(my $ready = '', fileno($orders), 1) = 1;
    my $ordered = select($ready, undef, undef, 0.1) > 0 && sysread($orders, my $line, 4096);
    start() if $ordered || $failed;
}
