# Sourced by story: the operator's installations, by Helm and by kubectl, and their end.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log, host_address are story's and node.sh's

operators=(kubectl --namespace oauth-operator)

prepare_namespace() {
    kubectl create namespace oauth-operator >/dev/null
    kubectl label namespace oauth-operator pod-security.kubernetes.io/enforce=restricted >/dev/null
    "${operators[@]}" create configmap token-server-ca --from-file=ca.crt="$dir/ca.crt" >/dev/null
    for version in previous this; do
        load_image "$dir/$version.tar"
        # Two tags even where the versions have one image.
        ctr -n k8s.io images tag "$(cat "$dir/$version.image")" "localhost/oauth-operator:$version" >>"$dir/images.log" 2>&1
    done
    cat >"$dir/values.yaml" <<YAML
allowEgress: [$host_address]
caConfigMap: {name: token-server-ca}
image: {repository: localhost/oauth-operator, pullPolicy: Never}
rbac: {rolloutRestart: true}
YAML
}

# by_helm COMMAND CHART VERSION [FLAG...]
by_helm() {
    log=$dir/helm.log
    helm "$1" oauth-operator "$2" --namespace oauth-operator --wait --timeout 3m \
        --values "$dir/values.yaml" --set image.tag="$3" "${@:4}" >"$log" 2>&1
    two_replicas "$3"
}

# by_kubectl MANIFESTS VERSION: by a kustomization of one's own, as docs/install.md has it.
by_kubectl() {
    local overlay=$dir/kustomize-$2
    mkdir -p "$overlay"
    cp -r "$1" "$overlay/base"
    cat >"$overlay/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [base]
images: [{name: ghcr.io/oauth-operator/oauth-operator, newName: localhost/oauth-operator, newTag: $2}]
patches:
- target: {kind: Deployment, name: oauth-operator}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --allow-egress=$host_address}
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --ca-file=/etc/oauth-operator/ca/ca.crt}
    - {op: add, path: /spec/template/spec/containers/0/volumeMounts, value: [{name: ca, mountPath: /etc/oauth-operator/ca}]}
    - {op: add, path: /spec/template/spec/volumes, value: [{name: ca, configMap: {name: token-server-ca}}]}
YAML
    log=$dir/kubectl-apply.log
    kubectl apply --server-side -k "$overlay" >"$log" 2>&1
    "${operators[@]}" rollout status deployment/oauth-operator --timeout=3m >>"$log" 2>&1
    two_replicas "$2"
}

# The pods of the version before have a while to end.
two_replicas() {
    await 120 "two ready replicas of this version, and no others" replicas_are "2 localhost/oauth-operator:$1"
}

replicas_are() {
    [[ $("${operators[@]}" get pods -o jsonpath='{range .items[*]}{.spec.containers[0].image} {.status.containerStatuses[0].ready}{"\n"}{end}' |
        sort | uniq -c | sed 's/^ *//') == "$1 true" ]]
}

# The pod that holds the Lease; nothing where nobody does.
leader() { "${operators[@]}" get lease oauth-operator -o jsonpath='{.spec.holderIdentity}' | cut -d _ -f 1; }
led() { [[ -n $(leader) ]]; }
led_by_another() { [[ $(leader) != "$1" ]] && led; }

# The leader dies at once (SIGKILL; the API server would give it two seconds): no time to save anything, and none to give up its Lease.
kill_leader() {
    local dead container began
    await 60 "a leader" led
    dead=$(leader)
    container=$("${operators[@]}" get pod "$dead" -o jsonpath='{.status.containerStatuses[0].containerID}')
    began=$SECONDS
    kill -KILL "$(ctr -n k8s.io tasks ls | awk -v id="${container#containerd://}" '$1 == id {print $2}')"
    "${operators[@]}" delete pod "$dead" --grace-period=0 --force >"$dir/kill.log" 2>&1
    await 60 "another leader than $dead" led_by_another "$dead"
    ok "$dead was killed, and $(leader) led $((SECONDS - began)) s later"
    "${operators[@]}" rollout status deployment/oauth-operator --timeout=2m >/dev/null
}

# From all namespaces to one: a Role there, and no ClusterRole that reads Secrets.
narrow_to_one_namespace() {
    local rules
    by_helm upgrade deploy/chart this --set 'watchNamespaces={shop}'
    rules=$(kubectl get clusterroles --selector app.kubernetes.io/name=oauth-operator -o jsonpath='{range .items[*]}{.metadata.name}: {.rules[*].resources}{"\n"}{end}')
    [[ $rules == *oauth-operator:* ]] || fail "the ClusterRoles aren't found: $rules"
    ! grep secrets <<<"$rules" || fail "a ClusterRole is about Secrets"
    may shop yes
    may elsewhere no
    may '' no
    ok "watchNamespaces: the operator may read the Secrets of that namespace, and no others"

    kubectl create namespace elsewhere >/dev/null
    credential elsewhere reports
    credential shop newcomer
    await 60 "a token in the namespace that is watched" kubectl --namespace shop wait --for=condition=Ready oauthcredential/newcomer --timeout=1s
    untouched || fail "a credential in a namespace that isn't watched was touched"
    kubectl --namespace shop delete oauthcredential/newcomer secret/newcomer-client >/dev/null
    await 30 "the end of the newcomer's Secret" none '/newcomer-token$' secrets --namespace shop
    ok "a new credential there becomes Ready; one in another namespace is left alone"
}

# may NAMESPACE yes|no: list its Secrets, or without a name, those of all.
may() {
    local scope=(--all-namespaces) answer
    [[ -z $1 ]] || scope=(--namespace "$1")
    answer=$(kubectl auth can-i list secrets "${scope[@]}" --as system:serviceaccount:oauth-operator:oauth-operator 2>"$log") || true
    [[ $answer == "$2" ]] || fail "may the operator list the Secrets of '${1:-all namespaces}'? $answer"
}

untouched() {
    [[ $(kubectl --namespace elsewhere get oauthcredential reports -o jsonpath='{.status}{.metadata.finalizers}') == '{"observedGeneration":-1}' ]] &&
        none reports-token secrets --namespace elsewhere
}

# What stays when the operator goes: everything that is the users'.
belongings() {
    kubectl get crd -o name | grep oauth-operator.dev
    kubectl --namespace shop get oauthcredentials,secrets -o jsonpath='{range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}'
}

# One of the credentials has a finalizer, which without an operator nobody would take off.
uninstall() {
    local before after held
    kubectl --namespace shop patch oauthcredential calendar --type merge --patch '{"spec": {"revocationPolicy": "OnDelete"}}' >/dev/null
    await 30 "the finalizer of calendar" is_held calendar
    before=$(belongings)
    log=$dir/helm.log
    helm uninstall oauth-operator --namespace oauth-operator --wait --timeout 3m >"$log" 2>&1
    await 90 "the end of its pods" no_pods
    held=$(kubectl get oauthcredentials --all-namespaces -o jsonpath='{range .items[?(@.metadata.finalizers)]}{.metadata.name} {end}')
    [[ -z $held ]] || fail "without an operator these can't be deleted: $held"
    after=$(belongings)
    [[ $before == "$after" ]] || fail "the uninstall took something along: $(diff <(echo "$before") <(echo "$after"))"
    ok "uninstalled; what stayed: $(grep -c . <<<"$after") objects: $(cut -d ' ' -f 1 <<<"$after" | tr '\n' ' ')"
    nothing_of_it
    kubectl --namespace shop patch oauthcredential calendar --type merge --patch '{"spec": {"revocationPolicy": null}}' >/dev/null
}

is_held() { [[ $(kubectl --namespace shop get oauthcredential "$1" -o jsonpath='{.metadata.finalizers}') == *oauth-operator.dev/revoke* ]]; }

nothing_of_it() {
    local all left
    all=$(kubectl get deployments,services,poddisruptionbudgets,networkpolicies,serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings --all-namespaces -o name)
    left=$(sed -n /oauth-operator/p <<<"$all")
    [[ -z $left ]] || fail "the operator's $left is left"
}

no_pods() {
    local pods
    pods=$("${operators[@]}" get pods -o name) && [[ -z $pods ]]
}

# What was installed with kubectl goes, first without what is the users', then with it. The grants' state stays, until somebody deletes it.
remove_altogether() {
    local before after
    log=$dir/kubectl-delete.log
    before=$(belongings)
    kubectl delete namespace oauth-operator --timeout=2m >"$log" 2>&1
    kubectl delete clusterroles,clusterrolebindings --selector app.kubernetes.io/name=oauth-operator >>"$log" 2>&1
    nothing_of_it
    after=$(belongings)
    [[ $before == "$after" ]] || fail "it took something along: $(diff <(echo "$before") <(echo "$after"))"
    ok "without the operator's namespace and its cluster roles, the credentials and their Secrets are there still"
    kubectl delete --ignore-not-found -k "$dir/kustomize-this" --timeout=2m >>"$log" 2>&1
    await 60 "the outputs to go with their credentials" none '/(calendar-access|[a-z]+-token)$' secrets --all-namespaces
    none oauth-operator.dev customresourcedefinitions || fail "CRDs are left"
    ! none . "${states[@]}" || fail "the state of the grants went along"
    kubectl delete "${states[@]}" >>"$log" 2>&1
    none . "${states[@]}" || fail "states are left"
    ok "kubectl delete -k: CRDs, credentials and outputs are gone, and then the state that was kept of the grants"
}

states=(secrets --all-namespaces --field-selector type=oauth-operator.dev/state)

# none PATTERN WHAT...: none of these objects has a name like this. A question without an answer is a failure.
none() {
    local all
    all=$(kubectl get "${@:2}" -o name) || fail "kubectl get ${*:2} has no answer"
    ! grep -Eq -- "$1" <<<"$all"
}
