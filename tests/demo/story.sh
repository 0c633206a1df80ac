# Sourced by run: what the demo shows, in the order of its headings.
# shellcheck shell=bash
# shellcheck disable=SC2154 # dir, log and issuer are run's and world.sh's

# show COMMAND...: what a person would type, and what comes.
show() {
    printf '$ %s\n' "$*"
    "$@"
}

# secret NAME: its keys, decoded. Kept, for the check.
secret() {
    echo "\$ kubectl get secret $1   (decoded)"
    kubectl get secret "$1" \
        -o go-template='{{range $key, $value := .data}}{{printf "  %-14s" $key}}{{$value | base64decode}}{{"\n"}}{{end}}' |
        tee "$dir/secret-$1-$2.txt"
}

status() { kubectl get oauthcredential "$1" -o jsonpath="{.status.$2}"; }
revision_is() { (($(status "$1" revision) >= $2)); }
ready_is() { [[ $(kubectl get oauthcredential "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}') == "$2" ]]; }

# `kubectl get --watch` on the screen, from here to stop_watching.
start_watching() {
    echo '$ kubectl get oauthcredentials --watch -o wide &'
    kubectl get oauthcredentials --watch -o wide &
    watcher=$!
    sleep 1 # for its first rows: what follows should come after them
}

stop_watching() {
    sleep 0.5 # the last row is on its way
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
}

# An example, with the addresses and secrets of this token server in the places of its own.
example() {
    local file=$1
    shift
    echo "\$ kubectl apply -f examples/$file   (with this token server's address and secrets)"
    sed -e "s#https://login.example.com#$issuer#" "$@" "examples/$file" | kubectl apply -f -
}

# The person's whole part. The ticket is made where the script makes it, and goes into the Secret and to the person alone.
consent() {
    local name=$1 ticket
    ticket=$(node -p 'require("crypto").randomBytes(24).toString("base64url")')
    echo "\$ kubectl create secret generic $name-oauth-consent --type oauth-operator.dev/consent --from-literal ticket=…"
    kubectl create secret generic "$name-oauth-consent" --type oauth-operator.dev/consent --from-literal ticket="$ticket"
    show kubectl get oauthcredential "$name" -o jsonpath='{.status.authorization.url}{"\n"}'
    log=$dir/person.log
    node tests/demo/person.mjs "$(status "$name" authorization.url)" "$ticket" 2>"$log"
    echo "$ticket" >"$dir/ticket.txt"
}

no_consent_is_left() { [[ -z $(kubectl get secret "$1-oauth-consent" --ignore-not-found -o name) ]]; }

first_token() {
    heading "An OAuthCredential says whose token is wanted: it waits for that person"
    log=$dir/operator.log
    start_watching
    example 07-authorization-code.yaml -e 's#change-me#mailbox-secret#'
    await 30 "the word that a consent is required" kubectl wait --for=condition=Reconciling oauthcredential/mailbox --timeout=1s
    stop_watching

    heading "A person consents, once, in a browser (here a script is the person)"
    consent mailbox
    log=$dir/operator.log
    show kubectl wait --for=condition=Ready oauthcredential/mailbox --timeout=30s
    await 10 "the Consent Secret to go" no_consent_is_left mailbox
    echo "No Consent Secret is left: its ticket and its code are spent."
    echo "The access token lives 12 seconds. The refresh token that came with it stays with the operator, and works once: whoever"
    echo "sends it gets the next of both. Send it twice, and the server takes everything back."
    secret mailbox-access before
}

story() {
    heading "The cluster has new kinds, and takes every manifest of examples/"
    show kubectl api-resources --api-group=oauth-operator.dev
    show kubectl apply --dry-run=server -f examples/

    first_token

    heading "Meanwhile the token nears its expiry: each new row is a refresh (see REVISION)"
    start_watching
    await 60 "the third access token" revision_is mailbox 3
    stop_watching
    secret mailbox-access after
    status mailbox revision >"$dir/revision.txt"

    heading "Two refreshes later: another access token, and no refresh token was sent twice"
    echo "access token before: $(awk '$1 == "token" {print substr($2, 1, 12)}' "$dir/secret-mailbox-access-before.txt")…"
    echo "access token after:  $(awk '$1 == "token" {print substr($2, 1, 12)}' "$dir/secret-mailbox-access-after.txt")…"
    echo "What the token server says of it:"
    node tests/demo/requests.mjs "$dir/token-requests.jsonl" mailbox

    heading "When something is wrong, the status says what, and what to do: a wrong client secret"
    example 01-client-credentials.yaml
    await 30 "the refusal" kubectl wait --for=condition=Stalled oauthcredential/reports --timeout=1s
    echo '$ kubectl describe oauthcredential reports   (its conditions and events)'
    kubectl get oauthcredential reports -o jsonpath='{range .status.conditions[*]}{"  "}{.type}{"="}{.status}{"  "}{.reason}{": "}{.message}{"\n"}{end}'
    await 15 "the event" has_event reports
    events reports

    heading "The Secret is corrected: the credential recovers by itself"
    start_watching
    local patch='{"stringData": {"client_secret": "reports-secret"}}' began=$SECONDS
    echo "\$ kubectl patch secret reports-client --patch '$patch'"
    kubectl patch secret reports-client --patch "$patch"
    show kubectl wait --for=condition=Ready oauthcredential/reports --timeout=30s
    echo "It took less than $((SECONDS - began + 1)) s."
    stop_watching
    secret reports-token recovered
}

has_event() { [[ -n $(events "$1") ]]; }

events() {
    kubectl get events --field-selector "involvedObject.name=$1" \
        -o jsonpath='{range .items[*]}{"  Event  "}{.type}{"  "}{.reason}{": "}{.message}{"\n"}{end}'
}
