# Sourced by story: an application as a Helm release of its own, which brings its credential along and reads the token only as it starts.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log and issuer are others'

application_chart() {
    mkdir -p "$dir/application/templates"
    printf 'apiVersion: v2\nname: application\nversion: 0.1.0\n' >"$dir/application/Chart.yaml"
    printf 'issuer: %s\nclientSecret: reports-secret\nworkload: true\n' "$issuer" >"$dir/application/values.yaml"
    cat >"$dir/application/templates/all.yaml" <<'YAML'
apiVersion: v1
kind: Secret
metadata: {name: "{{ .Release.Name }}-client"}
stringData: {client_secret: "{{ .Values.clientSecret }}"}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: "{{ .Release.Name }}"}
spec:
  provider: {issuer: "{{ .Values.issuer }}"}
  client: {id: reports, secretRef: {name: "{{ .Release.Name }}-client", key: client_secret}}
  grant: {clientCredentials: {}}
  rolloutRestart: [{kind: Deployment, name: "{{ .Release.Name }}"}]
{{- if .Values.workload }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: app
        image: localhost/busybox:e2e
        imagePullPolicy: Never
        command: [/bin/sleep, infinity]
        env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: "{{ .Release.Name }}-token", key: access_token}}}]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}
YAML
}

shop=(kubectl --namespace shop)
generation() { "${shop[@]}" get deployment app -o jsonpath='{.metadata.generation}'; }
restarted_for() { "${shop[@]}" get deployment app -o jsonpath='{.spec.template.metadata.annotations.rollout\.oauth-operator\.dev/app}'; }

# The token that the application's one pod started with is that of the Secret.
started_with_the_token() {
    local pod
    pod=$("${shop[@]}" get pods --selector app=app -o jsonpath='{.items[*].metadata.name}')
    [[ $("${shop[@]}" exec "$pod" -- sh -c 'echo -n "$TOKEN"' | base64 --wrap 0) == "$("${shop[@]}" get secret app-token -o jsonpath='{.data.access_token}')" ]]
}

# `helm install --wait` ends when the token is there, and not before.
install_application() {
    application_chart
    log=$dir/application.log
    helm install app "$dir/application" --namespace shop --wait --timeout 1m >"$log" 2>&1
    [[ $(status app 'conditions[?(@.type=="Ready")].status') == True ]] || fail "helm --wait didn't wait for the credential"
    started_with_the_token || fail "the application doesn't have the token"
    ok "helm install --wait of an application: its credential is Ready, and its pod has the token"
    if helm install broken "$dir/application" --namespace shop --set clientSecret=not-this-one --set workload=false --wait --timeout 10s >"$log" 2>&1; then
        fail "helm --wait took a credential for ready that has no token"
    fi
    grep -q OAuthCredential "$log" || fail "helm --wait failed for another reason than the credential"
    helm uninstall broken --namespace shop --wait >>"$log" 2>&1
    ok "helm install --wait fails where a credential can't have a token"
}

# A new token restarts the application once. A restart of the operator doesn't, nor does a new release of the application undo it.
restart_application() {
    local revision
    log=$dir/application.log
    [[ $(generation) == 1 ]] || fail "the first token restarted the application"
    revision=$(status app revision)
    "${shop[@]}" annotate oauthcredential app oauth-operator.dev/refresh-requested-at="$(date -u +%FT%TZ)" >"$log"
    await 30 "a new token" revision_past app "$revision"
    await 60 "the application's restart" generation_is 2
    "${shop[@]}" patch oauthcredential app --type merge --patch '{"spec": {"suspend": true}}' >>"$log"
    "${shop[@]}" rollout status deployment/app --timeout=1m >>"$log" 2>&1
    await 30 "one pod of the application" one_pod
    [[ $(restarted_for) == "revision $((revision + 1)),"* ]] || fail "the application was restarted for '$(restarted_for)', not for revision $((revision + 1))"
    started_with_the_token || fail "the application doesn't have the new token"
    ok "a new token restarted the application, which has it now"

    "${operators[@]}" rollout restart deployment/oauth-operator >>"$log"
    "${operators[@]}" rollout status deployment/oauth-operator --timeout=2m >>"$log" 2>&1
    two_replicas this
    # That the new leader has looked at this credential is told by what it reports.
    "${shop[@]}" patch oauthcredential app --type merge --patch '{"spec": {"secret": {"annotations": {"example.com/looked": "at"}}}}' >>"$log"
    await 60 "the new leader to look at the application's credential" looked_at
    helm upgrade app "$dir/application" --namespace shop --wait --timeout 1m >>"$log" 2>&1
    [[ $(generation) == 2 ]] || fail "the application was restarted again"
    ok "neither the operator's restart nor the application's next release restarts it again"
    helm uninstall app --namespace shop --wait --timeout 1m >>"$log" 2>&1
    await 30 "the end of the application's Secret" none '^secret/app-token$' secrets --namespace shop
}

generation_is() { [[ $(generation) == "$1" ]]; }
one_pod() { [[ $("${shop[@]}" get pods --selector app=app -o name | wc -l) == 1 ]]; }
looked_at() { [[ $("${shop[@]}" get oauthcredential app -o jsonpath='{.metadata.generation} {.status.observedGeneration}') =~ ^([0-9]+)\ ([0-9]+)$ && ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]]; }
