# Runs a command in a root of its own, as the only system that it sees: a mount namespace whose root
# is changed by pivot_root, since the private hosts of tests enter mount namespaces, which a plain
# chroot would leave again. Processes and network are those of the machine.
# usage: unshare --mount --propagation private bash in-root.bash ROOT PROJECT TEMPORAL COMMAND...
# PROJECT becomes /blockflow there, TEMPORAL (the server's binary) a command.
set -euo pipefail
root=$1 project=$2 temporal=$3
shift 3
mount --rbind "$root" "$root"
cd "$root"
mkdir -p blockflow old-root
touch usr/local/bin/temporal etc/resolv.conf
for folder in proc sys dev; do mount --rbind "/$folder" "$folder"; done
mount --bind /etc/resolv.conf etc/resolv.conf
mount --bind "$temporal" usr/local/bin/temporal
mount --bind "$project" blockflow
pivot_root . old-root
umount --lazy old-root
cd /blockflow
exec env -i HOME=/root LC_ALL=C.UTF-8 PATH=/blockflow/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
