#!/bin/bash
# A durable S3 store on one machine: Ceph's gateway over one monitor and one disk store (BlueStore) in a folder.
#
#   AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… start-store.sh FOLDER PORT
#
# It listens on 127.0.0.1, or on the address in STORE_HOST: without TLS, so only where nobody else can listen to the network.
# Ceph gives the guarantees that a registry needs: a create-only write (`If-None-Match: *`) has one winner among racing
# writers, and every write answered with 200 survives a crash. One disk and one monitor are not redundant: back them up.
# The monitor and the disk talk on 127.0.0.1 without keys: whoever has an account on this machine can use them. The gateway
# checks the signature of every request.
set -euo pipefail

FOLDER=$(realpath -m "$1") PORT=$2
: "${AWS_ACCESS_KEY_ID:?the key of the only user of the store}" "${AWS_SECRET_ACCESS_KEY:?its secret}"
MONITOR="[v2:127.0.0.1:$((PORT + 10000)),v1:127.0.0.1:$((PORT + 20000))]"
export CEPH_ARGS="--conf $FOLDER/ceph.conf"

configure() {  # FSID
    cat <<CONF
[global]
fsid = $1
mon host = $MONITOR
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = $FOLDER
admin socket = $FOLDER/\$name.asok
pid file =
log file =
log to stderr = false
err to stderr = true
mon cluster log file =
mon data = $FOLDER/mon
osd data = $FOLDER/osd
osd objectstore = bluestore
bluestore block size = ${STORE_BYTES:-$((64 << 30))}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class default list = *
osd class load list = *
mon allow pool size one = true
mon data avail crit = 1
mon max pg per osd = 1000
paxos propose interval = 0.02
paxos min wait = 0.02
auth cluster required = none
auth service required = none
auth client required = none
ms client mode = crc
ms service mode = crc
ms cluster mode = crc
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
[client.rgw]
rgw frontends = beast endpoint=${STORE_HOST:-127.0.0.1}:$PORT tcp_nodelay=1
rgw data = $FOLDER/rgw
rgw crypt require ssl = false
rgw run sync thread = false
CONF
}

start() {  # NAME COMMAND…: in the background; the store ends when one of them ends
    local name=$1
    shift
    "$@" 2> >(sed "s/^/$name: /" >&2) &
}

create_store() {  # the file `made` is written last, so an interrupted first start begins again
    rm -rf "${FOLDER:?}"/{mon,osd,rgw}
    mkdir -p "$FOLDER"/{mon,osd,rgw}
    local fsid
    fsid=$(cat /proc/sys/kernel/random/uuid)
    configure "$fsid" > "$FOLDER/ceph.conf"
    monmaptool --create --clobber --fsid "$fsid" --addv a "$MONITOR" "$FOLDER/monmap" > /dev/null
    ceph-mon -i a --mkfs --monmap "$FOLDER/monmap"
}

create_disk() {
    local uuid
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph --connect-timeout 30 osd new "$uuid" > /dev/null
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid" 2> /dev/null
    touch "$FOLDER/made"
}

create_user() {  # repeating this changes nothing; a different key in the environment is added to the user's keys
    # the secret is not an argument, which every process of this machine can read
    local -x CEPH_ARGS="$CEPH_ARGS --access-key=$AWS_ACCESS_KEY_ID --secret-key=$AWS_SECRET_ACCESS_KEY"
    radosgw-admin -n client.rgw user create --uid=graft --display-name=graft > /dev/null 2>&1 ||
        radosgw-admin -n client.rgw key create --key-type=s3 --uid=graft > /dev/null
}

[[ -e $FOLDER/made ]] || create_store
trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT
trap 'exit 0' TERM INT
start monitor ceph-mon -i a -f
[[ -e $FOLDER/made ]] || create_disk
start disk ceph-osd -i 0 -f
create_user
start gateway radosgw -n client.rgw -f
wait -n  # one of the three has ended, so the store ends too, and its supervisor restarts it
