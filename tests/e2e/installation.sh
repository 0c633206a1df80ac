# Sourced by story: the operator's installations, by Helm and by kubectl, and their end.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log, host_address are story's and node.sh's

operators=(kubectl --namespace oauth-operator)

prepare_namespace() {
    kubectl create namespace oauth-operator >/dev/null
    kubectl label namespace oauth-operator pod-security.kubernetes.io/enforce=restricted >/dev/null
    "${operators[@]}" create configmap token-server-ca --from-file=ca.crt="$dir/ca.crt" >/dev/null
    for version in previous this; do load_image "$dir/$version.tar"; done
    cat >"$dir/values.yaml" <<YAML
allowEgress: [$host_address]
caConfigMap: {name: token-server-ca}
image: {repository: localhost/oauth-operator, pullPolicy: Never}
YAML
}

# What is in the image and what is not; and its list of crates is one.
look_into_image() {
    local root=$dir/image-root sbom=usr/share/doc/oauth-operator/sbom.cdx.json
    mkdir -p "$root"
    ctr -n k8s.io images mount "localhost/oauth-operator:$(cat "$dir/this.tag")" "$root" >>"$dir/images.log" 2>&1
    [[ $(cd "$root" && find . -type f | sort | tr '\n' ' ') == "./etc/ssl/certs/ca-certificates.crt ./usr/bin/oauth-operator ./usr/share/doc/oauth-operator/LICENSE ./$sbom " ]] ||
        fail "the image has other files than it should: $(cd "$root" && find . -type f)"
    node -e '
        const { bomFormat, metadata, components } = JSON.parse(fs.readFileSync(process.argv[1]));
        const whole = components.every(({ name, version, purl, licenses }) => purl === `pkg:cargo/${name}@${version}` && licenses[0].expression);
        const known = ["rustls", "kube", "tokio"].every((crate) => components.some(({ name }) => name === crate));
        if (bomFormat !== "CycloneDX" || metadata.component.name !== "oauth-operator" || !whole || !known) process.exit(1);
        console.log(`ok      the image: ${process.argv[2]} kB, four files, and a list of its ${components.length} crates`);
    ' "$root/$sbom" "$(($(stat --format %s "$dir/this.tar") / 1000))" || fail "the image's list of crates isn't one"
    umount "$root"
}

# by_helm COMMAND CHART VERSION
by_helm() {
    log=$dir/helm.log
    helm "$1" oauth-operator "$2" --namespace oauth-operator --wait --timeout 3m \
        --values "$dir/values.yaml" --set image.tag="$(cat "$dir/$3.tag")" >"$log" 2>&1
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
images: [{name: ghcr.io/oauth-operator/oauth-operator, newName: localhost/oauth-operator, newTag: "$(cat "$dir/$2.tag")"}]
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
    await 120 "two ready replicas of this version, and no others" replicas_are "2 localhost/oauth-operator:$(cat "$dir/$1.tag")"
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

# What stays when the operator goes: everything that is the users'.
belongings() {
    kubectl get crd -o name | grep oauth-operator.dev
    kubectl --namespace shop get oauthcredentials,secrets -o jsonpath='{range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}'
}

uninstall() {
    local before after
    before=$(belongings)
    log=$dir/helm.log
    helm uninstall oauth-operator --namespace oauth-operator --wait --timeout 3m >"$log" 2>&1
    await 90 "the end of its pods" no_pods
    after=$(belongings)
    [[ $before == "$after" ]] || fail "the uninstall took something along: $(diff <(echo "$before") <(echo "$after"))"
    ok "uninstalled; what stayed: $(grep -c . <<<"$after") objects: $(cut -d ' ' -f 1 <<<"$after" | tr '\n' ' ')"
    left=$(kubectl get deployments,services,poddisruptionbudgets,networkpolicies,serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings --all-namespaces -o name | grep oauth-operator || true)
    [[ -z $left ]] || fail "the uninstall left $left"
}

no_pods() { [[ -z $("${operators[@]}" get pods -o name) ]]; }
