#!/bin/sh
# Puts Gatehouse's units, rules and settings in place on a box: sudo systemd/install.sh edge|sync [DESTDIR]
#
# edge: all of it, and Ctrl-Alt-Del masked, for a scanner is a keyboard. sync: the centre's unit, users and folders
# only. Without DESTDIR the running system takes it up at once; the service is enabled, not started: a gate is enrolled
# first. The program is not its affair (README, "A first real box"). To be run again after an update; it changes nothing else.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=${1:-}
root=${2:-}

put() { # source, target
    mkdir -p "$root$(dirname "$2")"
    cp "$here/$1" "$root$2"
    chmod 0644 "$root$2"
}

case $what in
edge | sync) ;;
*)
    echo "usage: $0 edge|sync [DESTDIR]" >&2
    exit 1
    ;;
esac
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    echo "Only root may do this. Type: sudo $0 $what" >&2
    exit 1
fi

put "gatehouse-$what.service" "/etc/systemd/system/gatehouse-$what.service"
put sysusers.d/gatehouse.conf /etc/sysusers.d/gatehouse.conf
put tmpfiles.d/gatehouse.conf /etc/tmpfiles.d/gatehouse.conf
# Before the rules: udev reads those as soon as anything is plugged in, drops a group that it does not know from them, and
# reads them again only once they have changed. The devices would stay shut to the gate until somebody starts the box anew.
[ -n "$root" ] || systemd-sysusers
if [ "$what" = edge ]; then
    put 60-gatehouse.rules /etc/udev/rules.d/60-gatehouse.rules
    put sysctl.d/60-gatehouse.conf /etc/sysctl.d/60-gatehouse.conf
    put modules-load.d/gatehouse.conf /etc/modules-load.d/gatehouse.conf
    put modprobe.d/gatehouse.conf /etc/modprobe.d/gatehouse.conf
    # polkitd belongs to a user of its own, who reads this; it takes it up by itself.
    put polkit/60-gatehouse.rules /etc/polkit-1/rules.d/60-gatehouse.rules
    put system.conf.d/60-gatehouse.conf /etc/systemd/system.conf.d/60-gatehouse.conf
    ln -sfn /dev/null "$root/etc/systemd/system/ctrl-alt-del.target"
fi
[ -z "$root" ] || exit 0

systemd-tmpfiles --create /etc/tmpfiles.d/gatehouse.conf
if [ "$what" = edge ]; then
    sysctl --quiet --load /etc/sysctl.d/60-gatehouse.conf
    # A kernel that has a driver built in knows no module of that name: no reason to stop.
    systemctl restart systemd-modules-load.service || true
    # A driver that has a reader already lets go of it only when it is unloaded; most boxes have none.
    modprobe --remove pn533_usb 2>/dev/null || true
    udevadm control --reload
    udevadm trigger --action=change
    systemctl daemon-reexec
else
    systemctl daemon-reload
fi
systemctl enable "gatehouse-$what.service"
program=/opt/gatehouse/venv/bin/gatehouse-$what
[ -x "$program" ] || echo "The program itself is missing: $program. README, \"A first real box\", says how it gets there."
if [ "$what" = edge ]; then
    echo "Installed. Join the centre: $program enrol URL CODE"
    echo "Then: systemctl start gatehouse-edge. Without a configuration it serves the page that sets it up."
else
    echo "Installed. Start it: systemctl start gatehouse-sync. How to begin: docs/running.md"
fi
