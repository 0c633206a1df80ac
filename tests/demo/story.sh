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

first_token() {
    heading "A person consents, once, in a browser: the result is a refresh token"
    log=$dir/seed.log
    seed=$(node tests/oidc/seed.mjs --issuer "$issuer" --client calendar --secret calendar-secret --auth basic 2>"$log" |
        sed -n 's/.*"refresh_token":"\([^"]*\)".*/\1/p')
    [[ -n $seed ]] || fail "no refresh token came from the authorization code flow"
    echo "It begins with ${seed:0:6}, and works once: whoever sends it gets an access token for 12 seconds and the next refresh"
    echo "token. Send it twice, and the server takes everything back."

    heading "It goes into a Secret, an OAuthCredential names it, and the operator does the rest"
    log=$dir/operator.log
    start_watching
    example 02-refresh-token.yaml -e "s#paste-the-refresh-token-here#$seed#" -e 's#change-me#calendar-secret#'
    await 30 "the first access token" ready_is calendar True
    stop_watching
    show kubectl wait --for=condition=Ready oauthcredential/calendar --timeout=30s
    secret calendar-access before
}

story() {
    heading "The cluster has new kinds, and takes every manifest of examples/"
    show kubectl api-resources --api-group=oauth-operator.dev
    show kubectl apply --dry-run=server -f examples/

    first_token

    heading "Meanwhile the token nears its expiry: each new row is a refresh (see REVISION)"
    start_watching
    await 60 "the third access token" revision_is calendar 3
    stop_watching
    secret calendar-access after
    status calendar revision >"$dir/revision.txt"

    heading "Two refreshes later: another access token, and no refresh token was sent twice"
    echo "access token before: $(awk '$1 == "token" {print substr($2, 1, 12)}' "$dir/secret-calendar-access-before.txt")…"
    echo "access token after:  $(awk '$1 == "token" {print substr($2, 1, 12)}' "$dir/secret-calendar-access-after.txt")…"
    echo "What the token server says of it:"
    node tests/demo/requests.mjs "$dir/token-requests.jsonl" calendar

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
