# Sourced by run: what the demo needs around it (a cluster, a token server, the operator), set up and torn down.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log, doing and existing are run's

# need MINIMUM WHAT-FOR COMMAND...: the command prints its version.
need() {
    local minimum=$1 purpose=$2 found
    shift 2
    if ! found=$("$@" 2>/dev/null | grep -Eo '[0-9]+(\.[0-9]+)+' | head -n 1); then
        echo "Missing: $1 $minimum or newer, for $purpose." >&2
    elif [[ $(printf '%s\n' "$minimum" "$found" | sort -V | head -n 1) != "$minimum" ]]; then
        echo "Too old: $1 is $found, and $purpose needs $minimum or newer." >&2
    else
        return 0
    fi
    missing=1
}

prerequisites() {
    missing=0
    need "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" "the operator" cargo --version
    need 1.0 "compiling the operator's crates" cc --version
    need 20.19 "the token server" node --version
    need 9.0 "installing the token server" npm --version
    need 7.0 "asking the operator whether it is ready" curl --version
    need 3.0 "looking after processes (Debian: procps)" ps --version
    if [[ -n $existing ]]; then
        need 1.24 "working with your cluster" kubectl version --client
    else
        need "$(sed -n 's/^go //p' tests/controlplane/go.mod)" "building the demo's API server" go version
    fi
    if ((missing)); then
        echo "Nothing was started. README.md says where to get them." >&2
        exit 2
    fi
}

set_up() {
    echo "$existing" >"$dir/existing"
    heading "Getting everything ready"
    patiently cargo "the operator (cargo build: seconds, or some minutes where nothing was built yet)" \
        cargo build --locked --bin oauth-operator
    operator=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/oauth-operator
    [[ tests/oidc/node_modules/.package-lock.json -nt tests/oidc/package-lock.json ]] ||
        patiently npm "the token server, oidc-provider (npm ci)" npm --prefix tests/oidc ci --no-audit --no-fund
    [[ -n $existing ]] || patiently controlplane-build "the control plane, etcd and kube-apiserver (built once: about 7 minutes)" \
        tests/controlplane/build
    echo "$SECONDS" >"$dir/built"
    if [[ -n $existing ]]; then borrow_cluster; else start_cluster; fi
    install
    start_token_server
    start_operator
}

start_cluster() {
    CONTROLPLANE_BIN=$(tail -n 1 "$dir/controlplane-build.out")
    export CONTROLPLANE_BIN PATH=$PATH:$CONTROLPLANE_BIN KUBECONFIG=$dir/kubeconfig KUBECACHEDIR=$dir/cache
    echo "$CONTROLPLANE_BIN" >"$dir/bin"
    log=$dir/controlplane/kube-apiserver.log
    tests/controlplane/run start "$dir/controlplane"
    cp "$dir/controlplane/kubeconfig" "$KUBECONFIG"
    namespace=oauth-demo
    kubectl create namespace "$namespace" >/dev/null
    kubectl create serviceaccount default --namespace "$namespace" >/dev/null # no controller-manager is there to do it
    kubectl config set-context --current --namespace "$namespace" >/dev/null
    echo "kube-apiserver is up: $(kubectl version 2>/dev/null | sed -n 's/^Server Version: //p')"
}

borrow_cluster() {
    log=""
    doing="the cluster of your kubeconfig does not answer, or does not let you look at Leases"
    kubectl config view --raw --minify --flatten >"$dir/kubeconfig"
    export KUBECONFIG=$dir/kubeconfig KUBECACHEDIR=$dir/cache
    [[ -z $(kubectl --namespace oauth-operator get lease oauth-operator --ignore-not-found -o jsonpath='{.spec.holderIdentity}') ]] ||
        fail "an oauth-operator is at work in this cluster already (the Lease oauth-operator is held): two would be in each other's way"
    namespace=oauth-demo-$RANDOM
    heading "Using your cluster, $(kubectl config current-context): namespace $namespace"
    kubectl create namespace "$namespace" | tee -a "$dir/applied"
    kubectl config set-context --current --namespace "$namespace" >/dev/null
    for _ in {1..50}; do
        kubectl get serviceaccount default >/dev/null 2>&1 && return
        sleep 0.1
    done
    kubectl create serviceaccount default >/dev/null
    touch "$dir/no-controllers" # a control plane alone: nobody will finish deleting a namespace either
}

# The kinds, and a ServiceAccount with no more rights than the operator has in earnest.
install() {
    log=$dir/install.log
    kubectl apply -f crds/ -f deploy/rbac.yaml 2>"$log" | tee -a "$dir/applied"
    kubectl wait --for=condition=Established crd/oauthcredentials.oauth-operator.dev crd/oauthproviders.oauth-operator.dev \
        crd/clusteroauthproviders.oauth-operator.dev --timeout=60s >/dev/null
    TOKEN=$(kubectl --namespace oauth-operator create token oauth-operator --duration 24h) \
        node tests/demo/kubeconfig.mjs oauth-operator <<<"$(kubectl config view --raw --minify --flatten -o json)" \
        >"$dir/operator.kubeconfig"
}

start_token_server() {
    # The operator's pages: the token server sends people back there.
    pages=http://127.0.0.1:$(node -e 'const s = require("net").createServer(); s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); });')
    cat >"$dir/token-server.json" <<JSON
{"accessTokenTtl": 12, "log": "$dir/token-requests.jsonl", "clients": [
  {"client_id": "mailbox", "client_secret": "mailbox-secret", "token_endpoint_auth_method": "client_secret_basic",
   "redirect_uris": ["$pages/oauth/callback"], "response_types": ["code"],
   "grant_types": ["authorization_code", "refresh_token"]},
  {"client_id": "reports", "client_secret": "reports-secret", "token_endpoint_auth_method": "client_secret_basic",
   "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"]}]}
JSON
    launch token-server node tests/oidc/server.mjs --config "$dir/token-server.json"
    log=$dir/token-server.log
    await 30 "the token server" grep -q '"issuer"' "$log"
    issuer=$(sed -n 's/.*"issuer":"\([^"]*\)".*/\1/p' "$log")
    echo "the token server is up: $issuer, access tokens of 12 seconds, each refresh token works once"
}

start_operator() {
    local flags=(--allow-egress 127.0.0.0/8 --allow-insecure-http --metrics-listen 127.0.0.1:0
        --public-url "$pages" --listen "${pages#http://}")
    [[ -z $existing ]] || flags+=(--namespace "$namespace") # other people's credentials are none of the demo's business
    ln -sf "$operator" "$dir/oauth-operator"
    KUBECONFIG=$dir/operator.kubeconfig launch operator "$dir/oauth-operator" "${flags[@]}"
    log=$dir/operator.log
    await 10 "the operator's address in its log" grep -q 'address=' "$log"
    await 60 "the operator to be ready" curl --fail --silent "http://$(sed -n 's/.*address=\([0-9.:]*\).*/\1/p' "$log" | head -n 1)/readyz"
    echo "the operator is up, as $(kubectl --kubeconfig "$dir/operator.kubeconfig" auth whoami -o jsonpath='{.status.userInfo.username}')"
}

tear_down() {
    stop_all
    if [[ -n $existing ]]; then
        give_back
    elif [[ -d $dir/controlplane ]]; then
        tests/controlplane/run stop "$dir/controlplane"
    fi
}

# Removes from a borrowed cluster what was not there before. Everything by name: some clusters collect no garbage.
give_back() {
    local object
    [[ -s $dir/applied && -s $dir/kubeconfig ]] || return 0
    export KUBECONFIG=$dir/kubeconfig
    kubectl delete oauthcredentials,oauthproviders,secrets,events --all --ignore-not-found >/dev/null 2>&1 || true
    ! grep -q '^namespace/oauth-operator created' "$dir/applied" ||
        kubectl --namespace oauth-operator delete lease oauth-operator --ignore-not-found >/dev/null
    while read -r object; do
        case $object in
        role.* | rolebinding.* | serviceaccount/*) kubectl --namespace oauth-operator delete "$object" --ignore-not-found ;;
        *) kubectl delete "$object" --ignore-not-found --wait=false ;;
        esac
    done < <(awk '$2 == "created" {print $1}' "$dir/applied" | sed '1!G;h;$!d')
    for object in $(sed -n 's#^namespace/\(.*\) created#\1#p' "$dir/applied"); do
        if [[ -f $dir/no-controllers ]]; then
            kubectl replace --raw "/api/v1/namespaces/$object/finalize" -f - >/dev/null \
                <<<"{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"$object\"}, \"spec\": {\"finalizers\": []}}"
        elif ! kubectl wait --for=delete "namespace/$object" --timeout=30s >/dev/null 2>&1; then
            echo "The namespace $object is emptied, and still being deleted by the cluster."
        fi
    done
}
