# Sourced by story: Prometheus with the chart's alerts, and the queries of its dashboard. (Debian's knows no Kubernetes: it is told the pods.)
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log and control are others'

start_prometheus() {
    # Alerts wait for minutes to hours before they fire; here for seconds.
    sed 's/^\( *for:\) .*/\1 3s/' deploy/chart/files/alerts.yaml >"$dir/alerts.yaml"
    cat >"$dir/prometheus.yaml" <<YAML
global: {scrape_interval: 2s, evaluation_interval: 2s}
rule_files: [$dir/alerts.yaml]
scrape_configs:
- job_name: oauth-operator
  static_configs:
$("${operators[@]}" get pods -l app.kubernetes.io/name=oauth-operator \
        -o jsonpath='{range .items[*]}{"  - {targets: [\""}{.status.podIP}{":8080\"], labels: {pod: "}{.metadata.name}{"}}\n"}{end}')
YAML
    launch prometheus prometheus --config.file="$dir/prometheus.yaml" --storage.tsdb.path="$dir/prometheus" --web.listen-address=127.0.0.1:9090
    log=$dir/prometheus.log
    await 60 "Prometheus to scrape both replicas" promql_is 'count(up{job="oauth-operator"} == 1)' 2
    await 60 "one leader among them" promql_is 'sum(oauth_operator_leader)' 1
    await 60 "both credentials in the metrics" promql_is 'max(oauth_operator_credentials{ready="true"})' 2
    ok "Prometheus scrapes both replicas, one of which leads, and sees two ready credentials"
}

prometheus_is_asked() { curl --silent --show-error --fail --get "http://127.0.0.1:9090/api/v1/$1" "${@:2}"; }
promql_is() { [[ $(prometheus_is_asked query --data-urlencode "query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p') == "$2" ]]; }
fires() { prometheus_is_asked alerts | grep -Eq "\"alertname\":\"$1\"[^}]*\}.*\"state\":\"firing\""; }
silent() {
    local alerts
    alerts=$(prometheus_is_asked alerts) && [[ $alerts != *'"state":"firing"'* ]]
}

# A client secret that is wrong: nothing but a person can put that right. Then one does.
fire_an_alert() {
    log=$dir/prometheus.log
    await 30 "no alert to fire while all is well" silent
    kubectl --namespace shop create secret generic wrong --from-literal=client_secret=not-this-one >/dev/null
    kubectl --namespace shop apply -f - >/dev/null <<YAML
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: wrong}
spec: {provider: {issuer: "$issuer"}, grant: {clientCredentials: {}}, client: {id: reports, secretRef: {name: wrong, key: client_secret}}}
YAML
    await 60 "OAuthCredentialsStalled to fire" fires OAuthCredentialsStalled
    ok "an alert fires: OAuthCredentialsStalled"
    node tests/e2e/dashboard.mjs deploy/chart/files/dashboard.json http://127.0.0.1:9090
    node tests/e2e/pictures.mjs deploy/chart/files/dashboard.json http://127.0.0.1:9090 target/dashboard
    kubectl --namespace shop patch secret wrong --patch '{"stringData": {"client_secret": "reports-secret"}}' >/dev/null
    await 60 "the alert to end" silent
    kubectl --namespace shop delete oauthcredential wrong >/dev/null
    kubectl --namespace shop delete secret wrong >/dev/null
    ok "the secret is corrected, and the alert ends"
}
