# Boots systemd over a copy-on-write view of this machine: boot.sh ROOT GROUP. Its processes, mounts and control groups
# are its own, the network is this machine's. Nothing that is enabled on this machine is started; every mount goes with
# the last of its processes.
set -eu
root=$1 group=$2
if [ "${3:-}" != inside ]; then
    # Moved below a group of its own first, so that the new namespace shows that one as the root of all.
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup/pids; do
        [ -e "$hierarchy/cgroup.procs" ] || continue
        mkdir -p "$hierarchy/$group"
        echo $$ > "$hierarchy/$group/cgroup.procs"
    done
    exec unshare --mount --pid --cgroup --ipc --uts --fork --propagation private bash "$0" "$root" "$group" inside
fi
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/view"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/view"
view=$root/view
mount -t proc proc "$view/proc"
mount -t tmpfs tmpfs "$view/run"
mount --rbind /dev "$view/dev"
mount -t sysfs sysfs "$view/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$view/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$view/sys/fs/cgroup"
    mkdir "$view/sys/fs/cgroup/systemd" "$view/sys/fs/cgroup/unified" "$view/sys/fs/cgroup/pids"
    mount -t cgroup -o none,name=systemd cgroup "$view/sys/fs/cgroup/systemd"
    mount -t cgroup2 cgroup2 "$view/sys/fs/cgroup/unified"
    mount -t cgroup -o pids cgroup "$view/sys/fs/cgroup/pids"
fi
rm -rf "$view"/etc/systemd/system/*.wants
printf '[Unit]\nDescription=Nothing but what the test starts\n' > "$view/etc/systemd/system/bare.target"
exec chroot "$view" /usr/bin/env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=bare.target --show-status=0 --log-target=console
