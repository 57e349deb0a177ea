# The first process of a machine: pid 1 of namespaces of its own. When it goes, the kernel ends all that runs in them,
# and mounts, interfaces and firewall rules go with them.
# $1 the machine's folder, $2 its name, $3 its address with the prefix's length, $4 the network's own address.
set -eu
# /proc is still that outside, so this is our pid as the others know it.
read -r pid _ </proc/self/stat
mount -t proc proc /proc
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns
hostname "$2"

# Folders that the programs have fixed names for.
for folder in /var/log /var/lib/cni /var/lib/kubelet; do
  mkdir -p "$folder" "$1$folder"
  mount --bind "$1$folder" "$folder"
done

# The kubelet sets these for the whole kernel; let it set copies.
for tunable in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  [ -e "/proc/sys/$tunable" ] || continue
  copy=$1/$(echo "$tunable" | tr / .)
  cat "/proc/sys/$tunable" >"$copy"
  mount --bind "$copy" "/proc/sys/$tunable"
done

# It asks for the other end of the cable.
echo "$pid" >"$1/init.new"
mv "$1/init.new" "$1/init"
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip link set lo up
ip address add "$3" dev eth0
ip link set eth0 up
ip route add default via "$4"
echo 1 >/proc/sys/net/ipv4/ip_forward
: >"$1/ready"

# Containers that lost their parents are our children now, and are waited for here.
while :; do
  sleep 3600 &
  wait "$!" || true
done
