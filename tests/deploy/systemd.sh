#!/bin/bash
# deploy/edge.service under a real systemd, as process 1 of namespaces of its own over a copy of this machine's root:
# start, status, reload with a credential, reload of a wrong file, a rotated credential, upgrade, stop. Nothing of the
# machine is changed. Needs root, systemd, unshare and a /usr/bin/python3 of the version that edge was compiled for;
# where it cannot run it says why and ends with 77. Not part of `make test`: containers seldom allow it.
#
#     tests/deploy/systemd.sh [python of the environment, .venv/bin/python unless given]
set -eu
repository=$(cd "$(dirname "$0")/../.." && pwd)
python=$(realpath -s "${1:-$repository/.venv/bin/python}")
skip() { echo "cannot run here: $1"; exit 77; }

if [ "${EDGE_TEST_STAGE:-}" = "" ]; then
    [ "$(id -u)" = 0 ] || skip "it needs root"
    [ -x /lib/systemd/systemd ] || skip "there is no systemd"
    version='import sys; print(sys.version_info[:2])'
    [ "$(/usr/bin/python3 -c "$version" 2>&1)" = "$("$python" -c "$version")" ] ||
        skip "/usr/bin/python3 is not of the version that edge was compiled for"
    unshare --pid --mount --cgroup --uts --ipc --fork true 2>/dev/null || skip "no namespaces"
    stage=$(mktemp -d /tmp/edge-systemd.XXXXXX) log=$(mktemp /tmp/edge-systemd-log.XXXXXX)
    trap 'rm -rf "$stage" "$log"' EXIT
    EDGE_TEST_STAGE=$stage EDGE_TEST_LOG=$log timeout --signal=KILL 300 \
        unshare --pid --kill-child --mount --cgroup --uts --ipc --net --fork "$0" "$python" || true
    [ -s "$log" ] || skip "systemd did not come up: see above"
    cat "$log"
    grep -qx "all good" "$log"
    exit
fi

# ---- inside: the root of a machine, with the unit installed as its head says --------------------------------------
stage=$EDGE_TEST_STAGE
mount --make-rprivate /
mount -t tmpfs tmpfs "$stage"
mkdir "$stage"/{upper,work,root,out}
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/upper,workdir=$stage/work" "$stage/root"
root=$stage/root
for kind in proc:/proc sysfs:/sys tmpfs:/run tmpfs:/tmp; do mount -t "${kind%%:*}" "${kind%%:*}" "$root${kind#*:}"; done
mount --rbind /dev "$root/dev"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
ip link set lo up 2>/dev/null || true
rm -f "$root"/etc/systemd/system/*.wants/* "$root"/etc/machine-id "$root"/etc/systemd/system/default.target
rm -rf "$root/opt/edge" "$root/etc/edge" && mkdir -p "$root/opt" "$root/etc/edge"
grep -q '^edge:' "$root/etc/passwd" || {
    echo "edge:x:991:991::/:/usr/sbin/nologin" >> "$root/etc/passwd"; echo "edge:x:991:" >> "$root/etc/group"; }
/usr/bin/python3 -m venv --without-pip "$root/opt/edge"
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -r "$packages"/. "$root/opt/edge/lib/"python3*/site-packages/
cp -r "$repository/edge" "$root/opt/edge/lib/"python3*/site-packages/
rm -f "$root/opt/edge/lib/"python3*/site-packages/__editable__*edge*
# The environment was made at another place; its python is found by the way to it.
printf '#!/opt/edge/bin/python3\nfrom edge.__main__ import main\nmain(prog_name="edge")\n' > "$root/opt/edge/bin/edge"
chmod 755 "$root/opt/edge/bin/edge"; chmod -R a+rX "$root/opt/edge"
cp "$repository/deploy/edge.service" "$root/etc/systemd/system/edge.service"
for each in networkd networkd-wait-online resolved timesyncd; do        # the loopback of these namespaces is all there is
    ln -sf /dev/null "$root/etc/systemd/system/systemd-$each.service"
done
# What a namespace within a namespace may not do; all else of the unit's hardening stays.
mkdir "$root/etc/systemd/system/edge.service.d"
printf '[Service]\nPrivateUsers=no\nPrivateTmp=no\n' > "$root/etc/systemd/system/edge.service.d/here.conf"
echo "sk-first-0123456789" > "$root/etc/edge/openai-key"; chmod 600 "$root/etc/edge/openai-key"
cat > "$root/etc/edge/config.yaml" <<'YAML'
port: 8766
listen_addr: 127.0.0.1
workers: 2
providers: {openai: {key: file:/run/credentials/edge.service/openai-key}}
keys: [{name: a, hash: "blake2b:1111111111111111111111111111111111111111111111111111111111111111"}]
admin: {key: file:/run/credentials/edge.service/openai-key}
YAML
chgrp 991 "$root/etc/edge/config.yaml"; chmod 640 "$root/etc/edge/config.yaml"

cat > "$root/trial" <<'TRIAL'
#!/bin/bash
exec > /trial.log 2>&1
good() { echo "ok: $1"; }
bad() { echo "FAILED: $1"; systemctl status edge --no-pager -l | tail -30; journalctl -u edge --no-pager -n 30; exit 1; }
systemctl start edge || bad "start"
good "started and ready: $(systemctl show -P StatusText edge), main process $(systemctl show -P MainPID edge)"
[ "$(ps -o args= -p "$(systemctl show -P MainPID edge)")" = "edge: supervisor" ] || bad "title"
main=$(systemctl show -P MainPID edge)
/opt/edge/bin/edge status || bad "status as root, by /run/edge"
systemctl reload edge || bad "reload with a credential"
/opt/edge/bin/edge status | grep -q "configuration version 2" || bad "version after the reload"
good "reloaded: the file refers to a credential, and so does the admin key"
cp /etc/edge/config.yaml /etc/edge/good; echo "prot: 1" >> /etc/edge/config.yaml
systemctl reload edge && bad "a wrong file was reloaded"
systemctl status edge --no-pager -l | grep -q "did you mean port" || bad "status shows why"
systemctl is-active edge || bad "still active"
good "a wrong file makes the reload fail, and status shows line and way out"
cat /etc/edge/good > /etc/edge/config.yaml
systemctl reload edge || bad "reload after that"
echo "sk-second-0123456789" > /etc/edge/openai-key
systemctl restart edge || bad "restart for a rotated credential"
[ "$(cat /run/credentials/edge.service/openai-key)" = sk-second-0123456789 ] || bad "credential"
good "a restart takes the rotated credential"
main=$(systemctl show -P MainPID edge)
systemctl kill --kill-whom=main --signal=USR2 edge
for _ in $(seq 300); do journalctl -u edge --no-pager -n 50 | grep -q "upgrade complete" && break; sleep 0.1; done
journalctl -u edge --no-pager -n 50 | grep -q "upgrade complete" || bad "upgrade"
[ "$(systemctl show -P MainPID edge)" = "$main" ] || bad "main process after the upgrade"
systemctl reload edge || bad "reload after the upgrade"
good "upgraded in place, and reloaded again"
systemctl stop edge || bad "stop"
[ "$(systemctl show -P Result edge)" = success ] || bad "result of the stop"
[ ! -e /run/edge ] || bad "the runtime directory is left"
good "stopped: $(systemctl show -P ExecMainStatus edge)"
echo "all good"
TRIAL
chmod 755 "$root/trial"
cat > "$root/etc/systemd/system/trial.service" <<'UNIT'
[Service]
Type=oneshot
ExecStart=/trial
ExecStopPost=/bin/systemctl --force --force poweroff
TimeoutStartSec=150
UNIT
printf '[Unit]\nRequires=systemd-journald.service\nAfter=systemd-journald.service\nWants=trial.service dbus.socket\nAllowIsolate=yes\n' \
    > "$root/etc/systemd/system/trial.target"
mkdir -p "$root/old"
touch "$root/trial.log"
mount --bind "$EDGE_TEST_LOG" "$root/trial.log"
cd "$root"
pivot_root . old
mount --make-rshared /          # as the kernel's own process 1 would: credentials are mounted for their service alone
exec env -i container=edge-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=trial.target \
    --log-target="${EDGE_TEST_LOG_TARGET:-null}" --show-status=no
