#!/bin/bash
# What deploy/Dockerfile does, over this machine's root in the place of the base image: test_image.py reads the file and
# gives its instructions as variables. Nothing of the machine is changed. Needs root, and a /usr/bin/python3.
#
#     STEPS      the build stage's COPY and RUN as lines of shell; $R is the root that they are about
#     SETTINGS   the final stage's ENV; RUNS_AS its USER; SERVE its command; HEALTH its HEALTHCHECK
#     FOLDER     a folder of the test's own
set -eu
repository=$(cd "$(dirname "$0")/../.." && pwd)
if [ -z "${EDGE_TEST_STAGE:-}" ]; then
    EDGE_TEST_STAGE=build exec unshare --mount --pid --kill-child --fork "$0"
fi

if [ "$EDGE_TEST_STAGE" = build ]; then
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$FOLDER"
    for root in build final; do
        mkdir -p "$FOLDER/$root"/{upper,work,root}
        mount -t overlay overlay -o "lowerdir=/,upperdir=$FOLDER/$root/upper,workdir=$FOLDER/$root/work" "$FOLDER/$root/root"
        mount -t proc proc "$FOLDER/$root/root/proc"
        mount --rbind /dev "$FOLDER/$root/root/dev"
        rm -rf "$FOLDER/$root/root"/{opt,src,etc}/edge && mkdir -p "$FOLDER/$root/root"/{opt,etc/edge}
    done
    R=$FOLDER/build/root
    # The base's own commands.
    printf '#!/bin/sh\nexec /usr/bin/python3 "$@"\n' >"$R/usr/local/bin/python"
    printf '#!/bin/sh\nexec %s/.venv/bin/python -m pip "$@"\n' "$repository" >"$R/usr/local/bin/pip"
    chmod 755 "$R"/usr/local/bin/{python,pip}
    export PATH=/usr/local/bin:$PATH
    eval "$STEPS"
    # One small module was compiled (EDGE_ONLY) and stands for all; the others are those of this tree.
    (cd "$repository/edge" && find _fast -name '*.so' | tar cf - -T -) | tar xf - -C "$R"/opt/edge/lib/python3*/site-packages/edge
    cp -a "$R/opt/edge" "$FOLDER/final/root/opt/edge"
    cat >"$FOLDER/final/root/etc/edge/config.yaml" <<'END'
port: 8766
listen_addr: 127.0.0.1
workers: 1
providers: {openai: {base_url: "http://127.0.0.1:9000/v1", key: env:KEY}}
keys: [{name: a, key: env:KEY}]
END
    mount -o remount,ro "$FOLDER/final/root"
    EDGE_TEST_STAGE=serve exec unshare --net "$0"
fi

# ---- a container's life: its user, no privilege, no network but its own -------------------------------------------
ip link set lo up
inside() {        # in a subshell, whose place it takes
    exec chroot "$FOLDER/final/root" setpriv --reuid "${RUNS_AS%:*}" --regid "${RUNS_AS#*:}" --clear-groups --bounding-set=-all \
        --no-new-privs env -i ${SETTINGS//'$PATH'//usr/bin} KEY=sk-0123456789abcdef0123 "$@"
}
eval "inside $SERVE" & served=$!
until (eval "inside $HEALTH" 2>"$FOLDER/ill"); do
    kill -0 $served 2>/dev/null || { cat "$FOLDER/ill"; wait $served; }
    sleep 0.2
done
(inside touch /opt/edge/written 2>/dev/null) && { echo "its root can be written to"; exit 1; }
kill -TERM $served
wait $served && echo "stopped with 0"
