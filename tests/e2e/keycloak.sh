# Sourced by story: Keycloak as the token server, with 'Revoke Refresh Token': a refresh token that comes back kills the session.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir, log, bin, host_address are story's and node.sh's

start_keycloak() {
    keycloak=https://$host_address:8443/realms/acme
    # Its data, and only that, is this run's.
    mkdir -p "$bin/keycloak/data"
    mount -t tmpfs e2e "$bin/keycloak/data"
    mkdir -p "$bin/keycloak/data/import"
    cp tests/e2e/keycloak/realm.json "$bin/keycloak/data/import/"
    # The directory in its command line is by what `running` knows it.
    launch keycloak bash "$bin/keycloak/bin/kc.sh" start --optimized --cache=local --import-realm --http-host="$host_address" \
        --hostname="https://$host_address:8443" --https-certificate-file="$dir/tls.crt" --https-certificate-key-file="$dir/tls.key"
}

await_keycloak() {
    log=$dir/keycloak.log
    await 180 "Keycloak" keycloak_is_asked .well-known/openid-configuration
    ok "$(grep -o 'Keycloak [0-9.]* on JVM.*started in [0-9.]*s' "$log")"
}

keycloak_is_asked() { curl --silent --show-error --fail --cacert "$dir/ca.crt" "$keycloak/$1" "${@:2}"; }

# Discovery and client credentials; a person's refresh token, that works once; and the first one's token, exchanged (RFC 8693).
credentials_of_keycloak() {
    local seed name
    seed=$(keycloak_is_asked protocol/openid-connect/token --user calendar:calendar-secret --data grant_type=password \
        --data username=alice --data password=alice-password | sed -n 's/.*"refresh_token":"\([^"]*\)".*/\1/p')
    [[ -n $seed ]] || fail "Keycloak gave no refresh token"
    kubectl create namespace acme >/dev/null
    kubectl --namespace acme create secret generic clients --from-literal=reports=reports-secret --from-literal=calendar=calendar-secret \
        --from-literal=gateway=gateway-secret --from-literal=refresh_token="$seed" >/dev/null
    kubectl --namespace acme apply -f - >/dev/null <<YAML
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {name: keycloak}
spec: {issuer: "$keycloak"}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: reports}
spec:
  providerRef: {name: keycloak}
  client: {id: reports, secretRef: {name: clients, key: reports}}
  grant: {clientCredentials: {}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: calendar}
spec:
  providerRef: {name: keycloak}
  client: {id: calendar, secretRef: {name: clients, key: calendar}}
  grant: {refreshToken: {secretRef: {name: clients, key: refresh_token}}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: gateway}
spec:
  providerRef: {name: keycloak}
  client: {id: gateway, secretRef: {name: clients, key: gateway}}
  grant:
    tokenExchange:
      subjectToken: {credentialRef: {name: reports}}
      subjectTokenType: urn:ietf:params:oauth:token-type:access_token
YAML
    log=$dir/keycloak.log
    for name in reports calendar gateway; do
        await 90 "the third token of Keycloak's $name" at_revision acme "$name" 3
    done
    for name in reports calendar gateway; do
        keycloak_is_asked protocol/openid-connect/token/introspect --user api:api-secret \
            --data-urlencode "token=$(kubectl --namespace acme get secret $name-token -o jsonpath='{.data.access_token}' | base64 --decode)" |
            grep -q '"active":true' || fail "Keycloak doesn't know the token of $name"
    done
    ok "discovery with client credentials, refresh tokens that work once, and token exchange: three tokens of each, the last ones active"
}

at_revision() { (($(kubectl --namespace "$1" get oauthcredential "$2" -o jsonpath='{.status.revision}') >= $3)); }
