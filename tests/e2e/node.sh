# Sourced by story: a cluster of one node, from its published parts, in namespaces of its own (mounts, processes, network).
# Pods get addresses of 198.18.7.0/24 on a bridge. The API server listens where the Service `kubernetes` says: its address is one of
# the bridge's, so no Service proxy is needed. There is no DNS.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log and bin are story's

host_address=198.18.7.1 # of the bridge: here the token server listens
api_address=198.18.8.1

start_cluster() {
    private_directories
    ip link set lo up
    # An address of its own: a bridge without one takes that of a port, another one when pods come and go, and pods would send to the old one.
    ip link add pods address 02:00:c6:12:07:01 type bridge
    ip address add "$host_address/24" dev pods
    ip address add "$api_address/32" dev pods
    ip link set pods up

    log=$dir/controlplane/kube-apiserver.log
    CONTROLPLANE_BIN=$bin/controlplane tests/controlplane/run start "$dir/controlplane" --address "$api_address" -- \
        --service-cluster-ip-range=198.18.8.0/24 --kubelet-preferred-address-types=InternalIP \
        --kubelet-client-certificate="$dir/controlplane/pki/kubelet-client.crt" --kubelet-client-key="$dir/controlplane/pki/kubelet-client.key"
    export KUBECONFIG=$dir/controlplane/kubeconfig
    launch kube-controller-manager "$bin/nodes/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false \
        --root-ca-file="$dir/controlplane/pki/ca.crt" --service-account-private-key-file="$dir/controlplane/pki/service-account.key"
    launch kube-scheduler "$bin/nodes/kube-scheduler" --kubeconfig="$KUBECONFIG" --leader-elect=false
    start_containerd
    start_kubelet
    await 90 "the node to be Ready" kubectl wait --for=condition=Ready node/node --timeout=1s
}

# What the parts keep at fixed places goes into file systems of its own, gone with this mount namespace. (run makes the directories.)
private_directories() {
    local path
    for path in /run /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods; do
        mount -t tmpfs -o mode=755 e2e "$path"
    done
}

start_containerd() {
    mkdir -p "$dir/cni" "$dir/containerd"
    cat >"$dir/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "198.18.7.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
    cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$dir/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/busybox:e2e"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
TOML
    launch containerd containerd --config "$dir/containerd.toml"
    await 30 "containerd" ctr version
}

start_kubelet() {
    echo "nameserver $host_address" >"$dir/resolv.conf" # nobody answers there
    cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $host_address
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $dir/controlplane/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
resolvConf: $dir/resolv.conf
clusterDNS: [$host_address]
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
evictionHard: {memory.available: 1Mi, nodefs.available: 1Mi, imagefs.available: 1Mi}
imageGCHighThresholdPercent: 100
syncFrequency: 2s        # how soon a changed Secret is in the pods' files; a minute by default
YAML
    launch kubelet "$bin/nodes/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$KUBECONFIG" --root-dir="$dir/kubelet" \
        --cert-dir="$dir/kubelet-pki" --hostname-override=node --node-ip="$host_address"
}

# load_image FILE: into the node, as `docker load` would; there is no registry.
load_image() { ctr -n k8s.io images import "$1" >>"$dir/images.log" 2>&1 || fail "containerd doesn't take the image $1: $(tail -n 3 "$dir/images.log")"; }

# The image of pods that aren't the operator's: Debian's static busybox.
busybox_image() {
    local name=localhost/busybox:e2e storage=$dir/buildah
    mkdir -p "$dir/busybox/bin"
    cp /bin/busybox "$dir/busybox/bin/"
    for command in sh cat date sleep wget sha256sum cut; do ln -sf busybox "$dir/busybox/bin/$command"; done
    printf 'FROM scratch\nCOPY . /\nCMD ["/bin/sleep", "infinity"]\n' >"$dir/busybox.Dockerfile"
    buildah --root "$storage/root" --runroot "$storage/run" --storage-driver vfs bud --isolation chroot --quiet \
        --file "$dir/busybox.Dockerfile" --tag $name "$dir/busybox" >>"$dir/images.log" 2>&1
    buildah --root "$storage/root" --runroot "$storage/run" --storage-driver vfs push --quiet $name "docker-archive:$dir/busybox.tar:$name" >>"$dir/images.log" 2>&1
}
