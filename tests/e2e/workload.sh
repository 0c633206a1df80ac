# Sourced by story: the token server, credentials, and a workload that uses a token all the time.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log, host_address are story's and node.sh's

# Of access tokens, in seconds, and when they are refreshed: with 36 left. A new leader has 15 to wait, and the kubelet needs a few.
lifetime=60 share=60
since=0 # the calls before this one are not of interest any more

# oidc-provider, by https, under an authority of its own. A refresh leaves the old access token alone; a refresh token works once.
start_token_server() {
    log=$dir/openssl.log
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=token server's authority" \
        -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>"$log"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host_address" -keyout "$dir/tls.key" -out "$dir/tls.csr" 2>>"$log"
    openssl x509 -req -in "$dir/tls.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -days 2 -out "$dir/tls.crt" \
        -extfile <(printf 'subjectAltName=IP:%s\nextendedKeyUsage=serverAuth' "$host_address") 2>>"$log"
    cat >"$dir/token-server.json" <<JSON
{"host": "$host_address", "accessTokenTtl": $lifetime, "log": "$dir/token-requests.jsonl", "cert": "$dir/tls.crt", "key": "$dir/tls.key", "clients": [
  {"client_id": "calendar", "client_secret": "calendar-secret", "token_endpoint_auth_method": "client_secret_basic",
   "redirect_uris": ["https://client.example.com/callback"], "response_types": ["code"], "grant_types": ["authorization_code", "refresh_token"]},
  {"client_id": "reports", "client_secret": "reports-secret", "token_endpoint_auth_method": "client_secret_basic",
   "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"]},
  {"client_id": "api", "client_secret": "api-secret", "token_endpoint_auth_method": "client_secret_basic",
   "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"]}]}
JSON
    export NODE_EXTRA_CA_CERTS=$dir/ca.crt
    launch token-server node tests/oidc/server.mjs --config "$dir/token-server.json"
    log=$dir/token-server.log
    await 30 "the token server" grep -q '"issuer"' "$log"
    issuer=$(sed -n 's/.*"issuer":"\([^"]*\)".*/\1/p' "$log")
    control=$(sed -n 's/.*"control":"\([^"]*\)".*/\1/p' "$log")

    launch resource-server node tests/e2e/resource-server.mjs "$host_address" "$issuer/token/introspection" api api-secret "$dir/calls.jsonl"
    log=$dir/resource-server.log
    await 30 "the resource server" grep -q '^http' "$log"
    resource=$(cat "$log")
}

# A namespace at the restricted level with two credentials, and a pod that mounts the Secret of each.
start_workload() {
    local name seed
    kubectl create namespace shop >/dev/null
    kubectl label namespace shop pod-security.kubernetes.io/enforce=restricted >/dev/null
    log=$dir/seed.log
    seed=$(node tests/oidc/seed.mjs --control "$control" --client calendar --count 1 2>"$log" | sed -n 's/.*"refresh_token":"\([^"]*\)".*/\1/p')
    [[ -n $seed ]] || fail "the token server gave no refresh token"
    for name in 01-client-credentials 02-refresh-token; do
        sed -e "s#endpoints: {token: \"https://login.example.com/token\"}#issuer: \"$issuer\"#" -e "s#paste-the-refresh-token-here#$seed#" "examples/$name.yaml"
        echo ---
    done | sed -e "s/^spec:\$/spec:\n  refresh: {beforePercent: $share}/" -e '0,/change-me/s//reports-secret/' -e '0,/change-me/s//calendar-secret/' | kubectl --namespace shop apply -f - >/dev/null
    log=""
    await 60 "the first tokens" kubectl --namespace shop wait --for=condition=Ready oauthcredentials --all --timeout=1s
    for name in reports-token/access_token calendar-access/token; do workload "${name%/*}" "${name#*/}"; done
    await 60 "the workloads" kubectl --namespace shop wait --for=condition=Ready pods --all --timeout=1s
}

# credential NAMESPACE NAME: of client credentials, and the Secret with the client's.
credential() {
    kubectl --namespace "$1" apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Secret
metadata: {name: $2-client}
stringData: {client_secret: reports-secret}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: $2}
spec: {provider: {issuer: "$issuer"}, grant: {clientCredentials: {}}, client: {id: reports, secretRef: {name: $2-client, key: client_secret}}}
YAML
}

# workload SECRET KEY: reads its file for each call, as docs/outputs.md tells it to.
workload() {
    kubectl --namespace shop apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1-user}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  automountServiceAccountToken: false
  containers:
  - name: user
    image: localhost/busybox:e2e
    imagePullPolicy: Never
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    command: [/bin/sh, -c]
    args:
    - |
      while true; do
        wget -q -O /dev/null --header "Authorization: Bearer \$(cat /run/token/$2)" $resource/$1 || date
        sleep 0.5
      done
    volumeMounts: [{name: token, mountPath: /run/token, readOnly: true}]
  volumes: [{name: token, secret: {secretName: $1}}]
YAML
}

# calls SECRET: how many different tokens its workload has used, its calls, and those that were rejected.
calls() { node tests/e2e/counts.mjs calls "$dir/calls.jsonl" "/$1" "$since"; }
# refreshes CLIENT: refresh tokens that were spent, requests that failed, and replays, by the token server's own log.
refreshes() { node tests/e2e/counts.mjs refreshes "$dir/token-requests.jsonl" "$1"; }

rejects() { [[ $(curl --silent --output /dev/null --write-out '%{http_code}' --header "Authorization: Bearer $1" "$resource/") == 401 ]]; }

tokens_used() {
    local tokens
    read -r tokens _ <<<"$(calls "$1")"
    ((tokens >= $2))
}

status() { kubectl --namespace shop get oauthcredential "$1" -o jsonpath="{.status.$2}"; }
revision_past() { (($(status "$1" revision) > $2)); }

# Another installation may come too late for a token: calls count anew from where the workloads have a new
# token each.
count_anew() {
    local name revision
    for name in calendar reports; do
        revision=$(status $name revision)
        await 60 "another token for $name" revision_past $name "$revision"
    done
    await 30 "the current tokens in the workloads' files" files_are_current
    sleep 1 # for the call that is under way
    since=$(wc -l <"$dir/calls.jsonl")
}

files_are_current() { file_is_current reports-token access_token && file_is_current calendar-access token; }
file_is_current() {
    [[ $(kubectl --namespace shop exec "$1-user" -- cat "/run/token/$2" | base64 --wrap 0) == "$(kubectl --namespace shop get secret "$1" -o jsonpath="{.data.$2}")" ]]
}

# More of both tokens come, and nothing was lost, repeated or rejected on the way. `nothing_lost WHAT`.
nothing_lost() {
    local name calendar reports
    calendar=$(status calendar revision)
    reports=$(status reports revision)
    await 90 "another token for calendar" revision_past calendar "$calendar"
    await 90 "another token for reports" revision_past reports "$reports"
    accounts "$1"
    nothing_told
}

# No token and no client secret is in the operator's logs, in Events or in credentials.
nothing_told() {
    local logs values
    logs=(/var/log/pods/oauth-operator_*/*/*.log)
    kubectl get events,oauthcredentials,oauthproviders --all-namespaces -o yaml >"$dir/told.yaml"
    kubectl get secrets --all-namespaces --field-selector type!=helm.sh/release.v1 -o json >"$dir/secrets.json"
    log=$dir/leaks.log
    values=$(node tests/e2e/leaks.mjs "$dir/told.yaml" "${logs[@]}" <"$dir/secrets.json" 2>"$log")
    rm "$dir/secrets.json"
    ok "none of $values secret values is in the operator's ${#logs[@]} logs, in Events or in a status"
}

accounts() {
    local secret tokens all rejected spent failed replayed
    for secret in calendar-access reports-token; do
        read -r tokens all rejected <<<"$(calls $secret)"
        ((rejected == 0)) || fail "$1: $rejected of $all calls with the token of $secret were rejected"
        echo "        $secret: $all calls with $tokens tokens, none rejected"
    done
    read -r spent failed replayed <<<"$(refreshes calendar)"
    ((replayed == 0)) || fail "$1: $replayed refresh tokens were sent twice"
    ((failed == 0)) || fail "$1: $failed refreshes failed"
    ok "$1: $spent refresh tokens spent, none twice, and none in vain"
}
